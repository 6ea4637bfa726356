"""The gRPC server: the only place that speaks the wire contract of ``protos/`` to the outside."""
