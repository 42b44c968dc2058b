# MLflow's server with authentication, PostgreSQL and S3; docker-compose.yaml builds it.
FROM python:3.11-slim-bookworm

WORKDIR /srv
COPY requirements.txt constraints.txt ./
RUN version=$(grep '^mlflow==' requirements.txt | cut -d= -f3) \
    && pip install --no-cache-dir --constraint constraints.txt \
       "mlflow[auth]==$version" boto3 "psycopg[binary]==3.3.9"
RUN useradd --create-home --uid 1000 mlflow \
    && install --directory --owner mlflow --group mlflow --mode 700 /srv/auth
USER mlflow
