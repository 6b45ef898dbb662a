internal import Streams

/// Begins TLS and what follows it on accepted connections.
final class ChannelAcceptor {
    func accept(_ connection: Downstream) {}
}
