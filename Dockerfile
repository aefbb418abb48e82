# The environment, and fe2 installed in it. ./container builds the first stage only and binds the checkout.
#   docker build -t fe2 .  &&  docker run --rm -v "$PWD:/work" -w /work fe2 fe2 run case.yaml
ARG SUITE=trixie

FROM debian:${SUITE}-slim AS environment
# Behind a network with its own certificate authority: docker build --secret id=ca,src=/etc/ssl/certs/ca-certificates.crt
RUN --mount=type=bind,source=environment,target=/tmp/environment \
    --mount=type=secret,id=ca,mode=0444 \
    FE2_CA_BUNDLE=/run/secrets/ca sh /tmp/environment/setup.sh
ENTRYPOINT ["fe2-enter"]
CMD ["bash", "--norc"]

FROM environment
RUN useradd --create-home fe2
COPY . /opt/fe2
ENV PYTHONPATH=/opt/fe2
USER fe2
WORKDIR /home/fe2
CMD ["fe2", "--help"]
