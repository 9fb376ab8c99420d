"""The container's health: exit code 0 while /healthz answers at the port that the service was given. Stdlib only."""

import os
import sys
import urllib.request

port = os.environ["STATECAST_HTTP__HTTP"].rpartition(":")[2]
try:
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"http://127.0.0.1:{port}/healthz", timeout=4)
except OSError as error:  # no connection, no answer in time, or 503
    sys.exit(f"unhealthy: {error}")
