"""Who it is by whatever credentials botocore finds: once for each line it is sent, so that time can pass in between."""

import json
import sys

import boto3

session = boto3.Session()
sts = None
for _ in sys.stdin:
    try:
        sts = sts or session.client("sts")
        told = {"arn": sts.get_caller_identity()["Arn"], "key": session.get_credentials().access_key}
    except Exception as error:  # what a person would read
        told = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(told), flush=True)
