internal import Keys
internal import RATS

/// dstack's versioned attestation (extension 1.3.6.1.4.1.62397.1.8, DER OCTET STRING): SCALE where
/// its first byte is 0, a MessagePack map otherwise (dstack, `dstack-attest`).
struct DstackAttestation {
    /// What the platform itself says.
    enum Platform {
        case quote([UInt8], DstackEventLog, hasTPM: Bool)
        case report([UInt8], certificates: [[UInt8]])
        case document([UInt8])
        /// An AWS instance's NitroTPM, whose documents are read by nothing here.
        case nitroTPM
    }

    let platform: Platform
    /// What dstack says it extended its register with; of TDX alone, also in its event log.
    let runtimeEvents: [DstackEventLog.Event]
    /// What the attestation says that the platform covers; a copy.
    let reportData: [UInt8]

    /// Bytes of an attestation: a certificate has at most 256 KiB.
    private static let maximumSize = 256 * 1024

    init(platform: Platform, runtimeEvents: [DstackEventLog.Event], reportData: [UInt8]) {
        self.platform = platform
        self.runtimeEvents = runtimeEvents
        self.reportData = reportData
    }

    init(_ bytes: [UInt8]) throws(Refusal) {
        guard bytes.count <= DstackAttestation.maximumSize, let first = bytes.first else {
            throw DstackAttestation.malformed("1 byte to 256 KiB", "\(bytes.count) bytes")
        }
        switch first {
        case 0x00:
            guard let read = DstackAttestation(scale: bytes) else {
                throw DstackAttestation.malformed("SCALE of version 0", "something else")
            }
            self = read
        case 0x80...0x8F, 0xDE, 0xDF:
            guard let value = MessagePack.decode(bytes) else {
                throw DstackAttestation.malformed("a MessagePack map", "something else")
            }
            guard value["version"]?.number == 1 else {
                throw DstackAttestation.malformed(
                    "version 1", value["version"]?.number.map { "version \($0)" } ?? "none")
            }
            guard let read = DstackAttestation(messagePack: value) else {
                throw DstackAttestation.malformed("version 1 with a known platform", "another")
            }
            self = read
        default:
            throw DstackAttestation.malformed(
                "SCALE (00) or a MessagePack map (8x, de, df)", Hex.encode([first]))
        }
    }

    /// The Evidence in it, which has to cover the certificate's key.
    func carried(_ place: String, _ certificate: Certificate) throws(Refusal) -> CarriedEvidence {
        let formula = DstackAttestation.formula(certificate)
        let dialect = Dialect.dstackVersioned
        var carried: CarriedEvidence
        switch platform {
        case .quote(let bytes, let log, let hasTPM):
            carried = try CarriedEvidence(
                dialect, place, try ForeignPiece(quote: bytes), [formula])
            let quote = try DCAPQuote(bytes)
            carried.events = try log.check(quote)
            // Both lists lead to the same register, whichever of them somebody reads.
            let listed = try DstackEventLog(events: runtimeEvents, isWhole: false).check(quote)
            if carried.events.entries.isEmpty { carried.events = listed }
            if carried.events.entries.isEmpty {
                carried.gaps.append("event log: there is none of RTMR3")
            }
            if hasTPM { carried.gaps.append("vTPM quote: Google's, beside the TDX quote") }
        case .report(let bytes, let certificates):
            carried = try CarriedEvidence(
                dialect, place,
                try ForeignPiece(
                    report: bytes, certificates: DstackAttestation.der(certificates)), [formula])
        case .document(let bytes):
            carried = try CarriedEvidence(
                dialect, place, try ForeignPiece(document: bytes), [formula])
        case .nitroTPM:
            throw AttestedLeaf.refusal(
                "certificate.dialect.unread", "platform", "TDX, SEV-SNP or a Nitro enclave",
                "NitroTPM of an AWS instance", "verify the machine in another way")
        }
        guard ConstantTime.equal(reportData, formula.value) else {
            throw AttestedLeaf.refusal(
                "certificate.binding.key", "report_data of the attestation",
                Hex.encode(formula.value), Hex.encode(reportData),
                "the attestation does not agree with itself")
        }
        return carried
    }

    /// The older form: a quote in 1.3.6.1.4.1.62397.1.1 and its event log, JSON, in .1.2.
    static func older(
        _ content: [UInt8], _ place: String, _ certificate: Certificate
    ) throws(Refusal) -> CarriedEvidence {
        let bytes = try AttestedLeaf.inside(content, tag: 0x04, .dstack)
        var carried = try CarriedEvidence(
            .dstack, place, try ForeignPiece(quote: bytes), [formula(certificate)])
        guard let log = certificate.extension("1.3.6.1.4.1.62397.1.2") else {
            carried.gaps.append("event log: there is none")
            return carried
        }
        let raw = try AttestedLeaf.inside(log, tag: 0x04, .dstack)
        guard let json = Gzip.unwrapped(raw, magic: Array("ELGZv1".utf8), limit: maximumLog),
            let items = JSONParser.parse(json)?.items,
            let log = DstackEventLog(json: items, isWhole: true)
        else { throw DstackEventLog.refusal("event log", "JSON as dstack writes it", "another") }
        carried.events = try log.check(try DCAPQuote(bytes))
        return carried
    }

    /// Bytes of an event log in a certificate, unpacked: what the certificate itself may have.
    private static let maximumLog = maximumSize

    private static func formula(_ certificate: Certificate) -> CarriedEvidence.Formula {
        CarriedEvidence.Formula(
            "SHA-512(\"ratls-cert:\" ‖ SubjectPublicKeyInfo)",
            Digest.sha512(Array("ratls-cert:".utf8) + certificate.spki))
    }

    // AMD's certificates come in PEM or DER, whichever the host handed out.
    private static func der(_ certificates: [[UInt8]]) -> [[UInt8]] {
        certificates.flatMap { bytes -> [[UInt8]] in
            guard bytes.starts(with: Array("-----BEGIN".utf8)) else { return [bytes] }
            return (try? Certificate.read(pem: bytes).map(\.der)) ?? []
        }
    }

    private static func malformed(_ expected: String, _ got: String) -> Refusal {
        AttestedLeaf.refusal(
            "certificate.malformed", "dstack attestation", expected, got, "update this side")
    }
}
