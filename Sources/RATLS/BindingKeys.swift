internal import Bytes
public import Keys
internal import RATS

/// The binding keys of one side toward one origin, with their replacement and erasure:
/// protocol.md, "Leases".
///
/// A key is made here, leaves only as signatures, and is wiped when the last of this object's
/// references goes: code that parses what peers send never holds one.
public final class BindingKeys: Sendable {
    /// Milliseconds after which the next quote is over a new key: protocol.md, 300 s.
    public static let replacedAfter: UInt64 = 300_000
    /// Milliseconds for which a replaced key still signs leases: one more `max_age`, 300 s unless
    /// a policy says otherwise, since no result over it can be older.
    public static let signsAfterwards: UInt64 = 300_000

    private struct State {
        var current: PrivateKey
        var hash: [UInt8]
        var since: UInt64
        /// At most one: the next is replaced when this one is erased at the latest.
        var former: (key: PrivateKey, hash: [UInt8], until: UInt64)?
        var leases = 0
    }

    private let state: Locked<State>
    private let clock: @Sendable () -> UInt64

    /// Makes the first key; `clock` counts milliseconds, also while the machine is suspended.
    public init(clock: @escaping @Sendable () -> UInt64) throws(KeyError) {
        let key = try PrivateKey.generate()
        self.clock = clock
        state = Locked(
            State(current: key, hash: Digest.sha256(key.spki), since: clock(), former: nil))
    }

    /// SHA-256 of the present key, 32 bytes.
    public var currentHash: [UInt8] { state.withLock { $0.hash } }

    /// How many leases were signed.
    public var leasesSigned: Int { state.withLock { $0.leases } }

    /// Wipes a key whose time is over; call now and then, since nobody may ask for it again.
    public func erase() {
        let now = clock()
        state.withLock { BindingKeys.erase(&$0, now) }
    }

    private static func erase(_ state: inout State, _ now: UInt64) {
        if let former = state.former, now >= former.until { state.former = nil }
    }

    /// The key that the next quote vouches for: a new one where the present one has served.
    func forQuote() throws(Refusal) -> QuotedKey {
        let now = clock()
        return try state.withLock { state throws(Refusal) in
            BindingKeys.erase(&state, now)
            if now - state.since >= BindingKeys.replacedAfter {
                let next: PrivateKey
                do {
                    next = try PrivateKey.generate()
                } catch {
                    throw BindingKeys.failure
                }
                state.former = (
                    state.current, state.hash, now + BindingKeys.signsAfterwards
                )
                state.current = next
                state.hash = Digest.sha256(next.spki)
                state.since = now
            }
            return QuotedKey(key: state.current, hash: state.hash)
        }
    }

    /// A signature over one connection's base by the key with this hash; nil where it is unknown
    /// or erased.
    func lease(_ hash: [UInt8], base: [UInt8]) -> [UInt8]? {
        let now = clock()
        let key = state.withLock { state in
            let key = BindingKeys.key(hash, in: &state, now)
            if key != nil { state.leases += 1 }
            return key
        }
        return try? key?.signRaw(Binding.leaseToSign(base: base))
    }

    private static func key(_ hash: [UInt8], in state: inout State, _ now: UInt64) -> PrivateKey? {
        erase(&state, now)
        if state.hash == hash { return state.current }
        if let former = state.former, former.hash == hash { return former.key }
        return nil
    }

    static let failure = Refusal(
        "attester.binding_key.failed", .attestation, field: "binding key",
        expected: "a signature", got: "none", remedy: "report this")
}

/// A binding key for as long as the quote that vouches for it takes: it signs Evidence, and no
/// lease.
struct QuotedKey {
    fileprivate let key: PrivateKey
    /// SHA-256 of its SubjectPublicKeyInfo.
    let hash: [UInt8]

    fileprivate init(key: PrivateKey, hash: [UInt8]) {
        self.key = key
        self.hash = hash
    }

    /// The SubjectPublicKeyInfo, DER.
    var spki: [UInt8] { key.spki }

    /// The signature of an evidence frame.
    func sign(base: [UInt8], manifest: [UInt8]) throws(Refusal) -> [UInt8] {
        let text = Binding.evidenceToSign(base: base, manifest: manifest)
        guard let signature = try? key.signRaw(text) else { throw BindingKeys.failure }
        return signature
    }
}
