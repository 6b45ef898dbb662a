public import Loop
internal import Streams

/// What `ratel proxy` is told by its file, read and checked.
public struct ProxyConfiguration: Sendable {
    /// The file.
    public let path: String
    /// What a restart is needed for: workers, logs, attester, …; by the names of the flags.
    let process: [String: String]
    /// Where callers connect.
    public let listeners: [ProxyListener]
    /// Where requests may go.
    public let backends: [ProxyBackend]
    /// Which requests go where: the first that matches.
    public let routes: [ProxyRoute]
}

/// Where callers connect, and how their connections are protected.
public struct ProxyListener: Sendable, Equatable {
    /// How a listener's connections are protected.
    public enum Protection: Sendable, Equatable {
        /// Not at all.
        case plain
        /// TLS, for whoever trusts the certificate; nothing is asked of callers.
        case tls(ServerCertificate)
        /// The attested channel of `ratel serve`; callers must meet the policy in the file.
        case attested(policy: String, certificate: ServerCertificate?)
        /// Bytes go on as they come: no TLS is ended and no request read.
        case passthrough(Passthrough)
    }

    /// Where the bytes of a passthrough listener go.
    public struct Passthrough: Sendable, Equatable {
        /// Backends by name.
        public let backends: [String]
        /// Milliseconds without a byte in either direction.
        public let idle: UInt64
    }

    /// Its name in logs, metrics and routes.
    public let name: String
    public let address: Address
    public let protection: Protection
    /// Whether every connection must begin with the PROXY protocol's header, version 2.
    public let awaitsProxyHeader: Bool
    /// Whether backends are told the caller's address.
    public let forwardsClientAddress: Bool
    /// Connections that each worker accepts.
    public let maximumConnections: Int
    /// Milliseconds that a connection may wait for its next request.
    public let idle: UInt64

    /// Whether the bytes of its connections go on unread.
    var isPassthrough: Bool { if case .passthrough = protection { true } else { false } }
}

/// Where requests may go, how the way there is protected, and how its health is known.
public struct ProxyBackend: Sendable, Equatable {
    /// How the way to a backend is protected.
    public enum Protection: Sendable, Equatable {
        case plain
        /// TLS; its certificate must be for this name and lead to these roots.
        case tls(serverName: String, roots: TrustedRoots)
        /// The attested channel of `ratel connect`; it must meet the policy in the file.
        case attested(policy: String)
    }

    /// Its name in logs, metrics and routes.
    public let name: String
    public let address: Address
    public let protection: Protection
    /// Whether each connection begins with the PROXY protocol's header, version 2.
    public let announcesCaller: Bool
    /// Milliseconds to connect.
    public let connect: UInt64
    /// Connections that each worker may have.
    public let maximumConnections: Int
    public let health: HealthCheck

    /// Whether many requests may share a connection by HTTP/2: where it is attested, for no caller
    /// in particular, and not asked by checks, which speak HTTP/1.1.
    var sharesConnections: Bool {
        guard case .attested = protection else { return false }
        return !announcesCaller && health.path == nil
    }
}

/// How it is found out whether a backend can be used.
public struct HealthCheck: Sendable, Equatable {
    /// The path to GET, where any 2xx is well; nil where it is enough that it can be connected to.
    public let path: String?
    /// Milliseconds from one check to the next.
    public let interval: UInt64
    /// Milliseconds for one check.
    public let timeout: UInt64
    /// Checks in a row after which a backend that was down is up.
    public let successes: Int
    /// Failures in a row after which a backend that was up is down.
    public let failures: Int
}

/// Which requests go to which backends, and within which limits.
public struct ProxyRoute: Sendable, Equatable {
    /// Who may use it, of those whom the listener lets in.
    public enum Access: Sendable, Equatable {
        case any
        /// Attested callers that these entries of the listener's policy admitted.
        case peers([String])
    }

    /// Its name in logs and metrics.
    public let name: String
    public let match: RouteMatch
    /// Backends by name.
    public let backends: [String]
    public let access: Access
    /// Requests that may be under way at once; nil for no limit but the connections'.
    public let maximumStreams: Int?
    /// Bytes of a request body's content; nil for no limit.
    public let maximumBody: UInt64?
    /// Milliseconds to the first byte of an answer, between two pieces of one, and of a request.
    public let firstByte: UInt64
    public let gap: UInt64
    public let requestGap: UInt64
    /// What is done against being read by the sizes and times of records; nil where nothing is
    /// written.
    public let writtenPadding: Padding?

    /// What holds: records are padded where nothing is written, and the protocol can.
    public var padding: Padding { writtenPadding ?? .records }
}
