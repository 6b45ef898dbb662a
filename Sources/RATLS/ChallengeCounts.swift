/// How many challenges went each way on one connection: the next one's `seq` (protocol.md,
/// "Binding"). One counter for each role, shared by all that attests on the connection.
public struct ChallengeCounts: Sendable, Equatable {
    /// Challenges that this side sent.
    public var asked: UInt32 = 0
    /// Challenges that the peer sent.
    public var answered: UInt32 = 0

    /// None yet.
    public init() {}
}
