/// How other systems carry Evidence: protocol.md, "Dialects read".
public enum Dialect: String, Sendable, CaseIterable {
    /// A record or collection of conceptual messages, RFC 9999: X.509 extension id-pe-cmw.
    case cmw = "id-pe-cmw"
    /// Interoperable RA-TLS of the Confidential Computing Consortium: X.509 extension
    /// 2.23.133.5.4.9 (TCG DICE), CBOR tag 60000 `[Evidence, claims]`.
    case ccc = "ccc-interoperable"
    /// The extension of Intel's first RA-TLS, in Gramine and rats-tls.
    case gramine = "gramine-legacy"
    /// dstack's versioned attestation, extension 1.3.6.1.4.1.62397.1.8; SN28 gm writes the same.
    case dstackVersioned = "dstack-versioned"
    /// dstack's older form, extensions 1.3.6.1.4.1.62397.1.1 and .1.2.
    case dstack = "dstack"
    /// Lexe, extension 1.2.840.113741.1337.7.
    case lexe = "lexe"
    /// Evervault: a Nitro document in hexadecimal as the first label of a DNS name.
    case evervault = "evervault"
    /// Flashbots' attested TLS proxy, after the handshake: ALPN `flashbots-ratls/1`.
    case flashbots = "flashbots-ratls/1"
    /// Tinfoil's document of version 2 at its well-known address.
    case tinfoil2 = "tinfoil-v2"
    /// Tinfoil's document of version 3, over a nonce.
    case tinfoil3 = "tinfoil-v3"
    /// The report of NEAR AI's and Phala's proxies, `/v1/attestation/report`.
    case near = "near-phala-report"

    /// The extensions in which Evidence is looked for, as dotted object identifiers; none where it
    /// is not in an extension.
    var identifiers: [String] {
        switch self {
        case .cmw: ["1.3.6.1.5.5.7.1.35"]
        case .ccc: ["2.23.133.5.4.9"]
        // Gramine's older versions encode the identifier's encoding as its arcs.
        case .gramine: ["1.2.840.113741.1337.6", "0.6.9.42.840.113741.1337.6"]
        case .dstackVersioned: ["1.3.6.1.4.1.62397.1.8"]
        case .dstack: ["1.3.6.1.4.1.62397.1.1"]
        case .lexe: ["1.2.840.113741.1337.7"]
        case .evervault, .flashbots, .tinfoil2, .tinfoil3, .near: []
        }
    }

    /// Those that a certificate carries.
    static let inCertificates = allCases.filter { !$0.identifiers.isEmpty || $0 == .evervault }
}
