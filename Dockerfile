# Two images of the service: `cpu` (the last, which Home Assistant's Supervisor builds) for amd64 and
# aarch64, and `gpu` for a box with an NVIDIA card. Neither needs anything from the host but, for
# `gpu`, the driver and NVIDIA's container toolkit. Built by script/image.
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS base
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1
# Debian's stable releases drop a version when its security update comes, so none is named here.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates espeak-ng python3 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 1000 --create-home --home-dir /home/voices voices \
    && install -d -o voices -g voices /data

# What is installed, exactly as requirements/*.txt says.
FROM base AS packages
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends python3-venv && rm -rf /var/lib/apt/lists/*
COPY requirements/build.txt requirements/cpu.txt /requirements/
RUN python3 -m venv /opt/venv \
    && pip install --no-cache-dir --require-hashes -r /requirements/build.txt \
    && pip install --no-cache-dir --require-hashes --no-build-isolation -r /requirements/cpu.txt \
    # What `add-converter` fetches into /data is found, but after everything that is in the image.
    && echo /data/converter >"$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/converter.pth"

FROM packages AS cpu-packages
RUN pip uninstall -y setuptools wheel wheel-stub

# CUDA's compiler makes pycuda and the kernels' machine code; it stays behind in this stage.
FROM packages AS gpu-packages
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends g++ python3-dev && rm -rf /var/lib/apt/lists/*
COPY requirements/cuda-compiler.txt requirements/gpu.txt requirements/tensorrt.txt /requirements/
ENV CUDA_ROOT=/opt/cuda/nvidia/cu13
RUN pip install --no-cache-dir --require-hashes --target /opt/cuda -r /requirements/cuda-compiler.txt \
    && mkdir -p "$CUDA_ROOT/lib64" \
    && echo 'void cuInit(void) {}' | gcc -shared -x c -Wl,-soname,libcuda.so.1 -o "$CUDA_ROOT/lib64/libcuda.so" -
# pycuda wants a libcuda to link with; the real one comes with the driver when the image runs.
RUN echo 'CUDA_ENABLE_CURAND = False' >"$HOME/.aksetup-defaults.py" \
    && PATH=$CUDA_ROOT/bin:$PATH LIBRARY_PATH=$CUDA_ROOT/lib64:$CUDA_ROOT/lib \
       CPATH=$CUDA_ROOT/include:$CUDA_ROOT/include/cccl \
       pip install --no-cache-dir --require-hashes --no-build-isolation -r /requirements/gpu.txt
# 11: TensorRT itself too, whose libraries come from NVIDIA's index. Empty: only TensorRT for RTX.
ARG TENSORRT=11
RUN if [ -n "$TENSORRT" ]; then pip install --no-cache-dir --require-hashes --no-build-isolation -r /requirements/tensorrt.txt; fi \
    && pip uninstall -y setuptools wheel wheel-stub
COPY engines/backends/kernels /build/kernels
RUN PATH=$CUDA_ROOT/bin:$PATH python -c "import sys; sys.path.insert(0, '/build/kernels'); import compiling; from pathlib import Path; compiling.compile_kernels(Path('/opt/kernels'))"

# Our own code, apart from the packages and from the demo model: an update downloads a few megabytes.
FROM packages AS code
COPY pyproject.toml README.md LICENSE NOTICE /build/
COPY requirements/convert.txt /app/requirements/
COPY engines /build/engines
COPY service /build/service
ARG BUILD_VERSION=
RUN if [ -n "$BUILD_VERSION" ]; then sed -i "s/^version = .*/version = \"$BUILD_VERSION\"/" /build/pyproject.toml; fi \
    && rm -r /build/service/demo \
    && pip install --no-cache-dir --no-build-isolation --no-deps --target /app /build

FROM base AS runtime
ENV HOME=/home/voices \
    ORT_DISABLE_TELEMETRY=1 \
    PYTHONPATH=/app \
    GPTSOVITS_DATA=/data \
    GPTSOVITS_HOST=0.0.0.0 \
    GPTSOVITS_WYOMING_PORT=10200
WORKDIR /data
VOLUME /data
EXPOSE 9880 10200
# Ready means that it has spoken, not only that it answers.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import os, urllib.request as web; web.urlopen(f\"http://127.0.0.1:{os.environ.get('GPTSOVITS_PORT', 9880)}/ready\", timeout=4)"]
# Started as root (Supervisor hands over a /data that only root may write) it becomes user 1000;
# started as anybody else it stays what it is. There is no USER, because Supervisor sets none.
ENTRYPOINT ["python", "-m", "service.container"]

FROM runtime AS gpu
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=gpu-packages /opt/venv /opt/venv
COPY service/demo /app/service/demo
COPY --from=code /app /app
COPY --from=gpu-packages /opt/kernels /app/engines/backends/kernels/compiled
ARG BUILD_VERSION=
LABEL org.opencontainers.image.title="Family voices (GPU)" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${BUILD_VERSION}"

FROM runtime AS cpu
COPY --from=cpu-packages /opt/venv /opt/venv
COPY service/demo /app/service/demo
COPY --from=code /app /app
ARG BUILD_VERSION=
ARG BUILD_ARCH=amd64
LABEL org.opencontainers.image.title="Family voices" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${BUILD_VERSION}" \
      io.hass.version="${BUILD_VERSION}" \
      io.hass.type="app" \
      io.hass.arch="${BUILD_ARCH}"
