#!/usr/bin/env bash
# What a cluster needs of a Google Cloud project, once, and nothing more: a network, firewall
# rules, a bucket, and two service accounts. Stops at the first command that fails; what it made
# until then is to be removed before it is run again.
#
#   cluster/gcp-account.sh PROJECT REGION BUCKET MY_ADDRESS/32
set -euo pipefail

if [ $# -ne 4 ] || [[ ! $4 =~ ^[0-9.]+/32$ ]]; then
  echo "usage: $0 PROJECT REGION BUCKET MY_ADDRESS/32 (one address, which may reach the head by ssh)" >&2
  exit 2
fi
project=$1 region=$2 bucket=$3 mine=$4
head=awcl-head@$project.iam.gserviceaccount.com
worker=awcl-worker@$project.iam.gserviceaccount.com
gcloud() { command gcloud --project "$project" --quiet "$@"; }

gcloud services enable compute.googleapis.com iam.googleapis.com storage.googleapis.com \
  artifactregistry.googleapis.com cloudresourcemanager.googleapis.com

# A network of its own; machines without a public address go out by Cloud NAT.
gcloud compute networks create awcl --subnet-mode custom
gcloud compute networks subnets create awcl --network awcl --region "$region" \
  --range 10.20.0.0/20 --enable-private-ip-google-access
gcloud compute routers create awcl --network awcl --region "$region"
gcloud compute routers nats create awcl --router awcl --region "$region" \
  --auto-allocate-nat-external-ips --nat-all-subnet-ip-ranges
gcloud compute firewall-rules create awcl-ssh --network awcl --direction INGRESS \
  --source-ranges "$mine" --target-tags awcl --allow tcp:22
gcloud compute firewall-rules create awcl-inside --network awcl --direction INGRESS \
  --source-tags awcl --target-tags awcl --allow tcp,udp,icmp

# Studies, and the image.
gcloud storage buckets create "gs://$bucket" --location "$region" \
  --uniform-bucket-level-access --public-access-prevention
gcloud artifacts repositories create awcl --location "$region" --repository-format docker

# Workers read and write the bucket and read the image.
gcloud iam service-accounts create awcl-head
gcloud iam service-accounts create awcl-worker
for account in "$head" "$worker"; do
  gcloud storage buckets add-iam-policy-binding "gs://$bucket" \
    --member "serviceAccount:$account" --role roles/storage.objectUser
  gcloud artifacts repositories add-iam-policy-binding awcl --location "$region" \
    --member "serviceAccount:$account" --role roles/artifactregistry.reader
done

# The head also starts and ends machines, and gives them the workers' account and no other.
gcloud iam roles create awclHead --title "AWCL head" --permissions "\
compute.acceleratorTypes.list,compute.disks.create,compute.images.useReadOnly,\
compute.instances.create,compute.instances.delete,compute.instances.get,compute.instances.list,\
compute.instances.setLabels,compute.instances.setMetadata,compute.instances.setServiceAccount,\
compute.instances.setTags,compute.machineTypes.get,compute.subnetworks.use,\
compute.zoneOperations.get"
command gcloud projects add-iam-policy-binding "$project" --quiet --condition None \
  --member "serviceAccount:$head" --role "projects/$project/roles/awclHead"
gcloud iam service-accounts add-iam-policy-binding "$worker" \
  --member "serviceAccount:$head" --role roles/iam.serviceAccountUser

echo "network awcl, bucket gs://$bucket, image registry $region-docker.pkg.dev/$project/awcl"
