/// How a certificate carries Evidence: protocol.md, "Dialects read".
public enum CertificateDialect: String, Sendable, CaseIterable {
    /// Interoperable RA-TLS of the Confidential Computing Consortium: X.509 extension
    /// 2.23.133.5.4.9 (TCG DICE), CBOR tag 60000 `[Evidence, claims]`.
    case ccc = "ccc-interoperable"
    /// The extension of Intel's first RA-TLS, in Gramine and rats-tls.
    case gramine = "gramine-legacy"
    /// dstack, extensions 1.3.6.1.4.1.62397.1.1 and .1.2.
    case dstack = "dstack"
    /// Lexe, extension 1.2.840.113741.1337.7.
    case lexe = "lexe"
    /// Evervault: a Nitro document in hexadecimal as the first label of a DNS name.
    case evervault = "evervault"

    /// The extensions in which Evidence is looked for, as dotted object identifiers.
    var identifiers: [String] {
        switch self {
        case .ccc: ["2.23.133.5.4.9"]
        // Gramine's older versions encode the identifier's encoding as its arcs.
        case .gramine: ["1.2.840.113741.1337.6", "0.6.9.42.840.113741.1337.6"]
        case .dstack: ["1.3.6.1.4.1.62397.1.1"]
        case .lexe: ["1.2.840.113741.1337.7"]
        case .evervault: []
        }
    }

    /// Extensions of dialects that are recognised, but not read yet, with what they are.
    static let unread = [
        ("1.3.6.1.5.5.7.1.35", "id-pe-cmw (RFC 9999)"),
        ("1.3.6.1.4.1.62397.1.8", "dstack versioned attestation"),
    ]
}
