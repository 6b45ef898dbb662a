internal import Bytes
internal import Keys
internal import Loop
internal import RATLS
internal import RATS
internal import TLS

/// The keys that one side of attested channels works with, and the TLS contexts made from them.
///
/// The leaf key is made here, lives in memory alone, and is replaced at two thirds of its life;
/// connections that stand keep the key of their own handshake.
final class ChannelIdentity: Sendable {
    /// Seconds that a leaf certificate is valid (`protocol.md`, TLS profile: 24 h).
    static let lifetime: Int64 = 24 * 3600

    /// What one handshake and its exchange use.
    struct Current: Sendable {
        let context: TLSContext
        let leaf: Certificate
        /// The leaf and its issuers, as they are presented.
        let chain: [Certificate]
    }

    let attester: (any Attester)?
    /// The keys that Evidence vouches for; made here, never written anywhere.
    let bindingKeys: BindingKeys
    private let side: TLSContext.Side
    private let protocols: [String]
    private let verifier: ChannelVerifier
    private let provided: TLSIdentity?
    private let padding: RecordPadding
    private let state: Locked<Current>

    /// Makes the first keys; blocks for one quote when there is an attester.
    init(
        side: TLSContext.Side, protocols: [String], verifier: ChannelVerifier,
        attester: (any Attester)?, provided: TLSIdentity?, padding: RecordPadding
    ) throws(Refusal) {
        self.side = side
        self.protocols = protocols
        self.verifier = verifier
        self.attester = attester
        self.provided = provided
        self.padding = padding
        do {
            bindingKeys = try BindingKeys(clock: { System.uptimeMilliseconds })
        } catch {
            throw ChannelIdentity.keyRefusal("\(error)")
        }
        state = Locked(
            try ChannelIdentity.make(side, protocols, verifier, attester, provided, padding))
    }

    /// What the next handshake uses.
    var current: Current { state.withLock { $0 } }

    /// Makes a new leaf; on failure the old one stays in use until its end, and this throws.
    ///
    /// One that was provided is its owner's to renew: `replace`.
    func rotate() throws(Refusal) {
        guard provided == nil else { return }
        let next = try ChannelIdentity.make(
            side, protocols, verifier, attester, provided, padding)
        state.withLock { $0 = next }
    }

    /// Presents what was provided anew; connections that stand keep what they began with.
    func replace(_ provided: TLSIdentity) throws(Refusal) {
        let next = try ChannelIdentity.make(
            side, protocols, verifier, attester, provided, padding)
        state.withLock { $0 = next }
    }

    private static func make(
        _ side: TLSContext.Side, _ protocols: [String], _ verifier: ChannelVerifier,
        _ attester: (any Attester)?, _ provided: TLSIdentity?, _ padding: RecordPadding
    ) throws(Refusal) -> Current {
        let identity: TLSIdentity
        if let provided {
            // Static Evidence is never made for a key that others may have.
            identity = provided
        } else {
            let key: PrivateKey
            do {
                key = try PrivateKey.generate()
            } catch {
                throw keyRefusal("\(error)")
            }
            let leaf =
                if let attester {
                    try AttestedCertificate.make(
                        attester: attester, key: key, now: System.now, lifetime: lifetime)
                } else {
                    try AttestedCertificate.makePlain(
                        key: key, now: System.now, lifetime: lifetime)
                }
            identity = TLSIdentity(key: key, certificates: [leaf])
        }
        do {
            let context = try TLSContext(
                side: side, identity: identity, protocols: protocols, verifier: verifier,
                padding: padding)
            return Current(
                context: context, leaf: identity.certificates[0], chain: identity.certificates)
        } catch {
            throw keyRefusal(error.description)
        }
    }

    private static func keyRefusal(_ got: String) -> Refusal {
        Refusal(
            "identity.key", .configuration, field: "TLS identity", expected: "a usable key",
            got: got, remedy: "check the certificate and key that were given")
    }
}
