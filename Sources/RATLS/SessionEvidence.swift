public import Appraisal
public import Keys
public import RATS

/// What a peer handed in over one connection, with all that it was bound to, so that others can
/// appraise it later (RFC 9334 section 10: the freshness is that of the challenge in it).
///
/// What the exporter of the connection gave stands in it; it opens nothing, and the connection is
/// over when this is shown.
///
/// JSON: `{"type": "ratel-session/1", "time": Unix seconds, "role": "server"|"client", "sequence",
/// "attester_key_hash": hex32, "peer_key_hash": hex32|null, "challenge_hash": hex32, "exported":
/// hex32, "body": hex}`: the inputs of the binding (protocol.md, "Binding"), and the evidence frame
/// with the Endorsements that it was appraised with.
public struct SessionEvidence: Sendable, Equatable {
    private static let type = "ratel-session/1"
    /// Bytes of its JSON: an evidence frame of 1 MiB and as much collateral, in hexadecimal.
    public static let maximumSize = 4 << 20

    let body: EvidenceBody
    let inputs: Binding.Inputs
    /// When it was appraised first, Unix time in seconds.
    public let time: Int64

    /// The effective configuration, which the Evidence covers: a JSON object.
    public var configuration: [UInt8] { body.configuration }

    /// `endorsements` are those that it was appraised with; nil where they are the peer's own.
    init(_ body: EvidenceBody, _ inputs: Binding.Inputs, endorsements: [Endorsement]?, time: Int64)
    {
        self.body = endorsements.map(body.with) ?? body
        self.inputs = inputs
        self.time = time
    }

    /// Reads what `json` wrote.
    public init(reading value: JSONValue?) throws(Refusal) {
        guard let value, value["type"]?.text == SessionEvidence.type,
            let time = value["time"]?.integer, time >= 0,
            let role = Role.allCases.first(where: { $0.name == value["role"]?.text }),
            let sequence = value["sequence"]?.integer.flatMap({ UInt32(exactly: $0) }),
            let attester = SessionEvidence.hash(value["attester_key_hash"]),
            let peer = value["peer_key_hash"],
            peer == .null || SessionEvidence.hash(peer) != nil,
            let challenge = SessionEvidence.hash(value["challenge_hash"]),
            let exported = SessionEvidence.hash(value["exported"]),
            let bytes = value["body"]?.text.flatMap(Hex.decode)
        else {
            throw Refusal(
                "evidence.session.malformed", .evidence, field: "recorded Evidence",
                expected: "a JSON object of type \(SessionEvidence.type)", got: "something else",
                remedy: "ask the router for it as it was written")
        }
        body = try EvidenceBody.decode(bytes)
        inputs = Binding.Inputs(
            role: role, sequence: sequence, attesterKeyHash: attester,
            peerKeyHash: SessionEvidence.hash(peer), challengeHash: challenge,
            attesterNonce: body.nonce, exported: exported,
            configurationHash: Digest.sha384(body.configuration))
        self.time = Int64(time)
    }

    private static func hash(_ value: JSONValue?) -> [UInt8]? {
        value?.text.flatMap(Hex.decode).flatMap { $0.count == 32 ? $0 : nil }
    }

    public var json: JSONValue {
        .members([
            ("type", .string(SessionEvidence.type)), ("time", .integer(time)),
            ("role", .string(inputs.role.name)), ("sequence", .integer(inputs.sequence)),
            ("attester_key_hash", .string(Hex.encode(inputs.attesterKeyHash))),
            ("peer_key_hash", inputs.peerKeyHash.map { .string(Hex.encode($0)) } ?? .null),
            ("challenge_hash", .string(Hex.encode(inputs.challengeHash))),
            ("exported", .string(Hex.encode(inputs.exported))),
            ("body", .string(Hex.encode(body.encoded))),
        ])
    }

    /// Its appraisal under `policy`, or a look at it where there is none: at the time that it was
    /// appraised first, or another in Unix seconds.
    public func job(under policy: AppraisalPolicy?, at time: Int64? = nil) -> AppraisalJob {
        AppraisalJob(
            body: body, base: Binding.base(inputs), asks: policy.map { .policy($0) } ?? .inspection,
            now: time ?? self.time, activations: [])
    }
}

extension EvidenceBody {
    fileprivate func with(_ endorsements: [Endorsement]) -> EvidenceBody {
        EvidenceBody(
            nonce: nonce, evidence: evidence, bindingKey: bindingKey, path: path,
            configuration: configuration, endorsements: endorsements, signature: signature)
    }
}
