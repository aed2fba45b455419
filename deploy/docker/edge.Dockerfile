# The edge daemon on CPU. Build from the repository's root:
#   docker build -f deploy/docker/edge.Dockerfile -t secondlook-edge .
# On JetPack, start from NVIDIA's image instead and install its wheel of onnxruntime-gpu.
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
      "$(ls /tmp/*.whl)[edge,otel]" \
 && rm -rf /tmp/* \
 && useradd --system --create-home --home-dir /var/lib/secondlook --groups video secondlook
USER secondlook
WORKDIR /var/lib/secondlook
# The memory is kept there. A container that is replaced needs the same volume to know what it knew.
VOLUME /var/lib/secondlook
ENV SECONDLOOK_EDGE__LOG__FORMAT=json \
    SECONDLOOK_EDGE__MEMORY__PATH=/var/lib/secondlook/edge-memory.db
# Mount the settings: -v ./edge.toml:/etc/secondlook/edge.toml:ro
# A USB camera needs: --device /dev/video0
ENTRYPOINT ["secondlook", "edge", "run"]
CMD ["--config", "/etc/secondlook/edge.toml"]
