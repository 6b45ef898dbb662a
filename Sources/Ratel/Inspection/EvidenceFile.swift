public import Appraisal
internal import Keys
internal import RATLS
public import RATS

/// This machine's Evidence outside any connection, as a file that another machine can appraise.
///
/// JSON: `{"type": "ratel-evidence/1", "nonce": hex32, "configuration": {…}, "evidence": [{"kind",
/// "index", "media_type", "bytes": hex}], ?"endorsements": [{"media_type", "bytes": hex}]}`. The
/// Evidence covers the nonce under a label of its own, so a file never passes for the Evidence of a
/// connection, and this is no quoting oracle.
public struct EvidenceFile: Sendable {
    /// 32 bytes that whoever asked chose, so that the Evidence is not older than the question.
    public let nonce: [UInt8]
    /// What was produced.
    public let evidence: [Evidence]
    /// What goes along with it.
    public let endorsements: [Endorsement]
    /// The effective configuration: a JSON object.
    public let configuration: [UInt8]

    private static let type = "ratel-evidence/1"
    /// Bytes of a nonce (`protocol.md`: exactly 32).
    public static let nonceSize = 32
    /// Bytes of a file: the 1 MiB of an evidence frame in hexadecimal, and as much again.
    public static let maximumSize = 4 << 20

    /// Asks `attester` for Evidence over `nonce`, or over a random one.
    public init(from attester: any Attester, nonce: [UInt8]?) throws(Refusal) {
        let nonce = nonce ?? SecureRandom.bytes(EvidenceFile.nonceSize)
        self.nonce = nonce
        configuration = Array("{}".utf8)
        evidence = try attester.quote(EvidenceFile.challenge(nonce))
        endorsements = try attester.endorsements()
    }

    /// Reads a file's contents.
    public init(parsing bytes: [UInt8]) throws(Refusal) {
        guard bytes.count <= EvidenceFile.maximumSize, let root = JSONParser.parse(bytes),
            root["type"]?.text == EvidenceFile.type,
            let nonce = root["nonce"]?.text.flatMap(Hex.decode),
            nonce.count == EvidenceFile.nonceSize, let configuration = root["configuration"],
            configuration.members != nil, let items = root["evidence"]?.items
        else { throw EvidenceFile.malformed("a JSON object of type \(EvidenceFile.type)") }
        var evidence: [Evidence] = []
        for item in items {
            guard let number = item["kind"]?.integer, let raw = UInt8(exactly: number),
                let kind = EvidenceKind(rawValue: raw),
                let index = item["index"]?.integer.flatMap({ UInt16(exactly: $0) }),
                let mediaType = item["media_type"]?.text,
                let bytes = item["bytes"]?.text.flatMap(Hex.decode)
            else { throw EvidenceFile.malformed("kind, index, media_type and bytes") }
            evidence.append(
                Evidence(kind: kind, index: index, mediaType: mediaType, bytes: bytes))
        }
        var endorsements: [Endorsement] = []
        for item in root["endorsements"]?.items ?? [] {
            guard let mediaType = item["media_type"]?.text,
                let bytes = item["bytes"]?.text.flatMap(Hex.decode)
            else { throw EvidenceFile.malformed("media_type and bytes of an endorsement") }
            endorsements.append(Endorsement(mediaType: mediaType, bytes: bytes))
        }
        self.nonce = nonce
        self.evidence = evidence
        self.endorsements = endorsements
        self.configuration = Array(configuration.serialised().utf8)
    }

    /// The file's contents.
    public var text: String {
        JSONValue.members([
            ("type", .string(EvidenceFile.type)),
            ("nonce", .string(Hex.encode(nonce))),
            ("configuration", JSONParser.parse(configuration) ?? .members([])),
            (
                "evidence",
                .array(
                    evidence.map { item in
                        .members([
                            ("kind", .integer(item.kind.rawValue)),
                            ("index", .integer(item.index)),
                            ("media_type", .string(item.mediaType)),
                            ("bytes", .string(Hex.encode(item.bytes))),
                        ])
                    })
            ),
            (
                "endorsements",
                .array(
                    endorsements.map { item in
                        .members([
                            ("media_type", .string(item.mediaType)),
                            ("bytes", .string(Hex.encode(item.bytes))),
                        ])
                    })
            ),
        ]).serialised(pretty: true) + "\n"
    }

    /// Checks structure, signatures and the nonce; nobody has decided on it then.
    public func authenticate() throws(Refusal) -> [AuthenticEvidence] {
        try Appraiser.authenticate(submission, expected: expected)
    }

    /// Appraises under `policy` at the Unix time `now`.
    ///
    /// A policy that asks for credential activation refuses: a file cannot answer.
    public func appraise(
        _ policy: AppraisalPolicy, now: Int64
    ) throws(Refusal) -> AttestationResult {
        let outcome = try Appraiser.appraise(
            submission, expected: expected, policy: policy, now: now)
        guard case .admitted(let result) = outcome else {
            throw Refusal.offlineActivation
        }
        return result
    }

    private var submission: Appraiser.Submission {
        Appraiser.Submission(
            evidence: evidence, endorsements: endorsements, configuration: configuration)
    }

    private var expected: Appraiser.ExpectedBinding {
        let challenge = EvidenceFile.challenge(nonce)
        let devices = evidence.filter { $0.kind == .gpu }.indices
        return Appraiser.ExpectedBinding(
            reportData: challenge.reportData(evidence),
            tpmQualifyingData: challenge.tpmQualifyingData,
            nitro: challenge.nitro.map { .init(nonce: $0.nonce, publicKey: $0.publicKey) },
            gpuNonces: devices.map { challenge.gpuNonce(UInt32($0)) })
    }

    private static func challenge(_ nonce: [UInt8]) -> QuoteChallenge {
        @Sendable func labelled(_ part: String) -> [UInt8] {
            Array("ratel-attest/1 file \(part)\0".utf8)
        }
        let tpm = Digest.sha256(labelled("tpm") + nonce)
        let root = Digest.sha384(labelled("root") + nonce)
        return QuoteChallenge(
            tpmQualifyingData: tpm,
            gpuNonce: { Digest.sha256(Array("ratel-attest/1 file gpu \($0)\0".utf8) + nonce) },
            // As on a connection: what holds report_data covers all other Evidence.
            reportData: { evidence in
                let others = evidence.filter { !$0.kind.carriesReportData }.map {
                    Binding.ManifestEntry(kind: $0.kind.rawValue, index: $0.index, bytes: $0.bytes)
                }
                let manifest = Digest.sha384(Binding.manifest(others))
                return Digest.sha512(labelled("cpu") + nonce + manifest)
            },
            nitro: .init(nonce: root, publicKey: labelled("no key")))
    }

    private static func malformed(_ expected: String) -> Refusal {
        Refusal(
            "evidence.file.malformed", .evidence, field: "evidence file", expected: expected,
            got: "something else", remedy: "make it with `ratel attest --out FILE`")
    }
}
