"""The container's health: exit code 0 while /healthz answers where the service was told to listen. Stdlib only."""

import os
import sys
import urllib.request

host, _, port = os.environ["STATECAST_HTTP__HTTP"].rpartition(":")
here = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)
try:
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"http://{here}:{port}/healthz", timeout=4)
except OSError as error:  # no connection, no answer in time, or 503
    sys.exit(f"unhealthy: {error}")
