internal import Appraisal
internal import HTTP
internal import Keys
internal import Ledger
internal import Loop
internal import RATS
internal import Receipts
internal import Streams

/// What a caller asks about requests of its own, once they are over: bills, receipts, signatures.
struct RouterQuestion {
    private enum Kind {
        case generation, receipt, signature
        /// With what the caller chose, and how it wants it signed.
        case attestation(nonce: String?)
    }

    private let kind: Kind
    private let id: String
    private let account: RouterBook.Account

    /// Nil where the path asks nothing of this kind.
    init?(_ head: RequestHead, _ account: RouterBook.Account) {
        self.account = account
        let path = head.path
        switch path {
        case "/v1/generation":
            kind = .generation
            id = head.query("id") ?? ""
        case "/v1/attestation/report":
            kind = .attestation(nonce: head.query("nonce"))
            id = ""
        case _ where path.hasPrefix("/v1/signature/"):
            kind = .signature
            id = String(path.dropFirst("/v1/signature/".count))
        case _ where path.hasPrefix("/v1/ratel/receipts/"):
            kind = .receipt
            id = String(path.dropFirst("/v1/ratel/receipts/".count))
        default: return nil
        }
    }

    /// Answers once the ledger has.
    func answer(_ router: RouterState, on loop: EventLoop, with reply: LocalReply) {
        if case .attestation(let nonce) = kind {
            return AttestationReport(router, nonce: nonce).answer(on: loop, with: reply)
        }
        let (id, bound, mailbox) = (id, LoopBound((self, router, reply)), loop.mailbox)
        router.book.desk.run { (ledger) throws(LedgerError) in
            try ledger.find(id)
        } then: { outcome in
            mailbox.post {
                let (question, router, reply) = bound.value
                question.tell(outcome, router, reply)
            }
        }
    }

    private func tell(
        _ outcome: Result<Ledger.Found?, LedgerError>, _ router: RouterState, _ reply: LocalReply
    ) {
        guard case .success(let found) = outcome else { return reply.refuse(.ledgerUnavailable) }
        // Of others' receipts nobody learns that they are there.
        guard let statement = found?.statement, let receipt = try? Receipt(statement),
            receipt.account == account.id
        else { return reply.refuse(.receiptUnknown) }
        let value: JSONValue
        switch kind {
        case .generation: value = Generation(receipt, router).json
        case .signature: value = AnswerSignature(receipt, router).json
        case .receipt, .attestation: value = statement.json
        }
        reply.send(value)
    }
}

/// Usage and cost of one request, as OpenRouter tells it.
private struct Generation {
    private let receipt: Receipt
    private let router: RouterState

    init(_ receipt: Receipt, _ router: RouterState) {
        self.receipt = receipt
        self.router = router
    }

    var json: JSONValue {
        let facts = receipt.service.flatMap { try? ServiceFacts($0) }
        let usage = receipt.usage
        let provider = receipt.service.flatMap { service in
            let key = Digest.sha256(service.key)
            return router.providers.first { $0.now.admission?.receiptKey == key }?.name
        }
        let first = facts.map { max(0, $0.first - $0.started) } ?? 0
        let whole = facts.map { max(0, $0.ended - max($0.first, $0.started)) } ?? 0
        return .members([
            (
                "data",
                .members([
                    ("id", .string(receipt.id)), ("model", .string(facts?.model ?? "")),
                    ("total_cost", .number(Dollars.text(receipt.cost))),
                    ("native_tokens_prompt", .integer(usage.input)),
                    ("native_tokens_completion", .integer(usage.output)),
                    ("native_tokens_cached", .integer(usage.cached)),
                    ("native_tokens_reasoning", .integer(usage.reasoning)),
                    ("provider_name", provider.map { .string($0) } ?? .null),
                    ("latency", .integer(first)), ("generation_time", .integer(whole)),
                    ("cancelled", .bool(receipt.end == .cancelled)),
                    ("finish_reason", .string(receipt.end == .complete ? "stop" : "error")),
                    ("created_at", .string(UTCTime.text(receipt.time / 1_000))),
                ])
            )
        ])
    }
}

/// A signature over request and answer, in the form that clients of NEAR AI and Phala read: the
/// text is `SHA-256 of the request:SHA-256 of the answer`, as the provider signed them.
private struct AnswerSignature {
    private let receipt: Receipt
    private let router: RouterState

    init(_ receipt: Receipt, _ router: RouterState) {
        self.receipt = receipt
        self.router = router
    }

    var json: JSONValue {
        let facts = receipt.service.flatMap { try? ServiceFacts($0) }
        let text = Hex.encode(facts?.request ?? []) + ":" + Hex.encode(facts?.response ?? [])
        // ECDSA on P-256: OpenSSL 3.0 has no Keccak, which the curve of Ethereum is used with.
        let signature = (try? router.book.key.signRaw(Array(text.utf8))) ?? []
        return .members([
            ("text", .string(text)), ("signature", .string("0x" + Hex.encode(signature))),
            ("signing_address", .string("0x" + Hex.encode(router.book.key.spki))),
            ("signing_algo", .string("ecdsa-p256-sha256")),
        ])
    }
}

/// Evidence of the router over a nonce of the caller's, in the form that those clients read.
private struct AttestationReport {
    private let router: RouterState
    private let nonce: String?

    init(_ router: RouterState, nonce: String?) {
        self.router = router
        self.nonce = nonce
    }

    func answer(on loop: EventLoop, with reply: LocalReply) {
        let bytes: [UInt8]
        switch nonce {
        case nil: bytes = SecureRandom.bytes(EvidenceFile.nonceSize)
        case .some(let text):
            guard let found = Hex.decode(text), found.count == EvidenceFile.nonceSize else {
                return reply.refuse(.nonceRefused)
            }
            bytes = found
        }
        guard let attester = router.front.identity.attester else {
            return reply.refuse(.attestsNothing)
        }
        let (key, bound, mailbox) = (
            router.book.key.spki, LoopBound(reply), loop.mailbox
        )
        // The Evidence covers the caller's nonce and the key that signs receipts.
        let covered = Digest.sha256(
            Array("ratel/report/1".utf8) + [0] + bytes + Digest.sha256(key))
        router.front.quotes.submit { () throws(Refusal) in
            do throws(Refusal) {
                let file = try EvidenceFile(from: attester, nonce: covered)
                mailbox.post {
                    AttestationReport.send(bound.value, file, nonce: bytes, key: key)
                }
            } catch {
                mailbox.post { bound.value.refuse(Failure(ofChallenge: error)) }
                throw error
            }
        }
    }

    private static func send(
        _ reply: LocalReply, _ file: EvidenceFile, nonce: [UInt8], key: [UInt8]
    ) {
        let value = JSONValue.members([
            ("signing_address", .string("0x" + Hex.encode(key))),
            ("signing_algo", .string("ecdsa-p256-sha256")),
            ("request_nonce", .string(Hex.encode(nonce))),
            ("evidence_nonce", .string(Hex.encode(file.nonce))),
            ("evidence", JSONParser.parse(Array(file.text.utf8)) ?? .null),
        ])
        reply.send(value)
    }
}

extension Failure {
    fileprivate static let nonceRefused = Failure(
        status: 400, code: "report.nonce", message: "the nonce is refused", stage: "request",
        field: "nonce", expected: "64 hexadecimal digits", got: "something else")
}
