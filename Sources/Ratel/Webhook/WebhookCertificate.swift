internal import Keys
internal import RATLS
internal import TLS

/// One certificate of the webhook, signed by itself, with a key that never leaves this process.
///
/// The API server trusts exactly the certificates in the configuration's `caBundle`, and each
/// replica puts its own there: there is no authority whose key could be stolen, and none to keep.
struct WebhookCertificate: Sendable {
    let certificate: Certificate
    /// For the listener.
    let context: TLSContext

    /// A new key and a certificate for the DNS name `name`, valid for `lifetime` seconds.
    static func make(
        name: String, now: Int64, lifetime: Int64
    ) throws(ConfigurationError) -> WebhookCertificate {
        do {
            let key = try PrivateKey.generate()
            // A subject of its own: verifiers look issuers up by name, and each is its own.
            let mark = Hex.encode(Array(Digest.sha256(key.spki)[..<8]))
            let certificate = try LeafCertificate.make(
                key: key, commonName: "ratel webhook \(mark)", names: [name], now: now,
                lifetime: lifetime, usages: ["1.3.6.1.5.5.7.3.1"])
            let context = try TLSContext(
                side: .server, identity: TLSIdentity(key: key, certificates: [certificate]),
                protocols: [ChannelProtocol.plainHTTP2, ChannelProtocol.plainHTTP1],
                verifier: WebCallerVerifier(), profile: .web)
            return WebhookCertificate(certificate: certificate, context: context)
        } catch {
            throw ConfigurationError("the webhook's certificate cannot be made: \(error)")
        }
    }
}

/// The `caBundle` of a MutatingWebhookConfiguration: the certificates that are trusted to be the
/// webhook's, in PEM.
struct TrustBundle: Equatable {
    /// Certificates at most: of a few replicas, each with a next one, and what restarts left behind
    /// until it expires. Beyond it the oldest go; who still needs one puts it back.
    static let capacity = 64

    private(set) var certificates: [[UInt8]]

    /// Reads base64 of PEM, as the API has it; what cannot be read is left out.
    init(base64: String?) {
        let pem = base64.flatMap { Base64.decode(Array($0.utf8)) } ?? []
        let blocks = try? PEM.decode(pem, label: "CERTIFICATE", limit: 4 * TrustBundle.capacity)
        certificates = blocks ?? []
    }

    func contains(_ certificate: Certificate) -> Bool { certificates.contains(certificate.der) }

    /// Without what has expired at `now`, and with `own` in it.
    func keeping(_ own: [Certificate], now: Int64) -> TrustBundle {
        let mine = own.map(\.der)
        var others: [Certificate] = []
        for der in certificates where !mine.contains(der) {
            guard let certificate = try? Certificate(der: der), certificate.notAfter >= now,
                !others.contains(where: { $0.der == der })
            else { continue }
            others.append(certificate)
        }
        let room = max(0, TrustBundle.capacity - mine.count)
        var bundle = self
        bundle.certificates =
            others.sorted { $0.notBefore > $1.notBefore }.prefix(room).map(\.der) + mine
        // In one order, so that what is the same compares so.
        bundle.certificates.sort { $0.lexicographicallyPrecedes($1) }
        return bundle
    }

    /// Base64 of PEM.
    var base64: String {
        let pem = certificates.map { PEM.encode($0, label: "CERTIFICATE") }.joined()
        return Base64.encode(Array(pem.utf8))
    }

    static func == (one: TrustBundle, other: TrustBundle) -> Bool {
        Set(one.certificates) == Set(other.certificates)
    }
}
