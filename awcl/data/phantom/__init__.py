"""A synthetic fetal ultrasound clinic, for when no real one is at hand.

What it is for: to see the whole system work offline, and to test claims where the truth is known.
It is no substitute for scans: anatomy is drawn, not grown, and every fetus is healthy.

    growth      patients: gestational age and biometry from published charts
    planes/     what a standard plane shows, one short function each
    scan        a video: the probe wanders, planes come into view and go
    imaging     tissue to picture: speckle, shadow, gain, sector
    machines    three machine profiles
    writing     files in the form of a real data set
    sheet       a contact sheet to look at
"""
