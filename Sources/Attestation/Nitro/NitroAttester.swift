internal import Bytes
internal import Keys
public import RATS

/// An enclave of AWS Nitro: a document by the Nitro Secure Module.
///
/// Evidence: the document, a COSE_Sign1, as it is. `user_data` is the report_data; `nonce` and
/// `public_key` are what the challenge says.
public final class NitroAttester: Attester {
    /// NSM_IOCTL_RAW, linux/nsm.h: `_IOWR(0x0A, 0, struct nsm_raw)`, 32 bytes.
    static let exchange: UInt = 0xC020_0A00
    /// Bytes of an answer: NSM_RESPONSE_MAX_SIZE, linux/nsm.h.
    static let maximumAnswer = 0x3000

    private let device: String
    private let turn = Locked(())

    /// Prepares to ask; `device` is usually `/dev/nsm`.
    public init(device: String) { self.device = device }

    public var name: String { "AWS Nitro (\(device))" }
    public var kinds: [EvidenceKind] { [.nitro] }

    public func quote(_ challenge: QuoteChallenge) throws(Refusal) -> [Evidence] {
        let request = NitroAttester.request(challenge)
        let answer: [UInt8]
        do throws(HostError) {
            answer = try turn.withLock { _ throws(HostError) in
                try HostDevice.exchange(
                    device, request: NitroAttester.exchange, message: request,
                    limit: NitroAttester.maximumAnswer)
            }
        } catch {
            throw error.refusal(.nitro)
        }
        return [Evidence(.nitro, bytes: try NitroAttester.document(in: answer))]
    }

    /// `{"Attestation": {"user_data", "nonce", "public_key"}}`, with null for what is not asked:
    /// aws-nitro-enclaves-nsm-api, Request.
    static func request(_ challenge: QuoteChallenge) -> [UInt8] {
        let nitro = challenge.nitro
        return CBORValue.named([
            (
                "Attestation",
                .named([
                    ("user_data", .bytes(challenge.reportData([]))),
                    ("nonce", nitro.map { .bytes($0.nonce) } ?? .null),
                    ("public_key", nitro.map { .bytes($0.publicKey) } ?? .null),
                ])
            )
        ]).encoded()
    }

    /// The document of `{"Attestation": {"document"}}`; `{"Error": name}` refuses.
    static func document(in answer: [UInt8]) throws(Refusal) -> [UInt8] {
        guard let value = try? CBORDecoder.decode(answer, rules: .anyOrder),
            let entry = value.entries?.first, value.entries?.count == 1
        else { throw refusal("an answer in CBOR", "\(answer.count) other bytes") }
        if entry.key.textString == "Error" {
            throw refusal("success", entry.value.textString ?? "an error without a name")
        }
        let document = entry.value.entries?.first { $0.key.textString == "document" }
        guard entry.key.textString == "Attestation", let bytes = document?.value.byteString,
            !bytes.isEmpty
        else { throw refusal("a document", "none") }
        return bytes
    }

    private static func refusal(_ expected: String, _ got: String) -> Refusal {
        Refusal(
            "nitro.nsm", .attestation, kind: "nitro", field: "Nitro Secure Module",
            expected: expected, got: got, remedy: "see `ratel doctor`; run inside an enclave")
    }
}
