/// How long each kind of waiting may last, in milliseconds. No total: streams may run for hours.
public struct Budgets: Sendable, Equatable {
    /// A TCP or Unix connection to a backend: three SYN retransmissions take 7 s; a local backend
    /// answers in one round trip.
    public var connect: UInt64 = 5_000
    /// TLS and attestation together: the exchange may take 10 s (`protocol.md`), its TLS handshake
    /// two round trips. A challenge inside a request has as long for its answer.
    public var handshake: UInt64 = 12_000
    /// The PROXY protocol's header: its sender writes it at once, and a lost segment is sent again
    /// within 3 s (`proxy-protocol.txt`, section 3).
    public var proxyHeader: UInt64 = 5_000
    /// A request head, from its first byte: slow heads are an attack, not a slow network.
    public var requestHead: UInt64 = 10_000
    /// Between two pieces of a request body.
    public var requestGap: UInt64 = 60_000
    /// A request whose whole body is read before it is answered here, from its head to its end,
    /// since it takes memory all the while. Who asks has it at hand: an API server waits for its
    /// webhooks for 10 s where nobody says otherwise, and a challenge is small.
    public var collected: UInt64 = 10_000
    /// From the end of the request to the first byte of the answer: long prompts wait in queues and
    /// prefill for minutes.
    public var firstByte: UInt64 = 600_000
    /// Between two pieces of an answer, the reader's own delay included.
    public var gap: UInt64 = 300_000
    /// A connection that waits for its next request: longer than load balancers' usual 60 s, so
    /// that they close first.
    public var idle: UInt64 = 75_000
    /// A backend connection that waits in the pool: uvicorn, which vLLM runs on, closes after 5 s,
    /// and a request that meets that close is lost.
    public var pooled: UInt64 = 4_000
    /// Silence of an HTTP/2 connection with open streams before it is asked for a sign of life: as
    /// load balancers and gRPC do, and below the 60 s after which NATs may forget it.
    public var ping: UInt64 = 30_000
    /// How long that sign may take: a peer that is stopped for a while is not gone.
    public var pong: UInt64 = 60_000
    /// How long a finished connection is still read from, so that no reset eats the answer.
    public var linger: UInt64 = 2_000

    /// The defaults.
    public init() {}
}
