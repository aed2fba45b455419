# The cloud service on CPU. Build from the repository's root:
#   docker build -f deploy/docker/cloud.Dockerfile -t secondlook-cloud .
FROM python:3.12-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE CHANGELOG.md constraints.txt ./
COPY edge edge
COPY cloud cloud
COPY shared shared
COPY protos protos
# The versions of constraints.txt without its hashes: the wheel built here has none.
RUN grep -oE '^[A-Za-z0-9._-]+==[^ ;]+( *;[^\\]*)?' constraints.txt > /pins.txt \
 && pip install --no-cache-dir --root-user-action=ignore -c /pins.txt hatchling \
 && hatchling build --target wheel --directory /dist

FROM python:3.12-slim
COPY --from=build /pins.txt /dist/*.whl /tmp/
RUN pip install --no-cache-dir --root-user-action=ignore -c /tmp/pins.txt \
      "$(ls /tmp/*.whl)[cloud,otel]" \
 && rm -rf /tmp/* \
 && useradd --system --create-home --home-dir /var/lib/secondlook secondlook
USER secondlook
WORKDIR /var/lib/secondlook
VOLUME /var/lib/secondlook
# Inside a container, loopback reaches nobody. The service refuses to listen elsewhere without TLS:
# mount certificates and name them, or set SECONDLOOK_CLOUD__SERVER__ALLOW_PLAINTEXT=true on a
# network that nobody else can read. Mount settings and add: --config /etc/secondlook/cloud.toml
ENV SECONDLOOK_CLOUD__SERVER__HOST=0.0.0.0 \
    SECONDLOOK_CLOUD__METRICS__HOST=0.0.0.0 \
    SECONDLOOK_CLOUD__LOG__FORMAT=json
EXPOSE 50051 9464
HEALTHCHECK --start-period=60s CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:9464/healthz', timeout=3)"]
ENTRYPOINT ["secondlook", "cloud", "serve"]
