public import Loop

/// Where the admin listener is, and what it may be asked.
public struct AdminSettings: Sendable {
    /// Its address; nil for none.
    public var address: Address?
    /// Whether `GET /drain` ends the service's taking of requests. Whoever reaches the address can
    /// ask, so nobody can who was not meant to.
    public var drains = false
}
