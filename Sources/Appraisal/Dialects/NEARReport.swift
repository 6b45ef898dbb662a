internal import Keys
internal import RATS

/// The report of the proxies of NEAR AI and Phala (nearai/inference-proxy, nearai/vllm-proxy):
/// `{signing_address, signing_algo, request_nonce, intel_quote, nvidia_payload, event_log, …}`, or
/// the same under `gateway_attestation`.
///
/// report_data = SHA-256(address ‖ SHA-256(SPKI)) ‖ nonce where the TLS key is covered; older
/// proxies write pad32(address) ‖ nonce, which covers a key that signs answers, and no connection.
enum NEARReport {
    private static let place = "/v1/attestation/report"
    /// Bytes of an address: 20 of Ethereum, 32 of Ed25519.
    private static let maximumAddress = 32

    static func read(
        _ document: JSONValue, nonce: [UInt8], certificate: Certificate
    ) throws(Refusal) -> CarriedEvidence? {
        let wrapped = document["gateway_attestation"]
        let report = wrapped?.members == nil ? document : wrapped ?? document
        guard let quote = report["intel_quote"] else { return nil }
        guard let bytes = quote.text.flatMap(Hex.decode),
            let address = report["signing_address"]?.text.flatMap(address),
            (1...maximumAddress).contains(address.count)
        else {
            throw AttestationEndpoint.malformed(
                .near, "report", "intel_quote and signing_address in hexadecimal")
        }
        let piece = try ForeignPiece(quote: bytes)
        guard ConstantTime.equal(Array(piece.covered.dropFirst(32)), nonce) else {
            throw AttestationEndpoint.refusal(
                .near, "nonce", "report_data", Hex.encode(nonce),
                Hex.encode(Array(piece.covered.dropFirst(32))))
        }
        let hash = Digest.sha256(address + Digest.sha256(certificate.spki))
        let padded = address + [UInt8](repeating: 0, count: 32 - address.count)
        let bound = try CarriedEvidence(
            .near, place, piece,
            [
                .init("SHA-256(address ‖ SHA-256(SubjectPublicKeyInfo)) ‖ nonce", hash + nonce),
                .init("pad32(address) ‖ nonce", padded + nonce),
            ], code: "endpoint.binding.key")
        let devices = try devices(report["nvidia_payload"], nonce: nonce)
        var carried = bound.with(devices, nonce: nonce)
        carried.coversKey = ConstantTime.equal(Array(piece.covered.prefix(32)), hash)
        if !carried.coversKey {
            carried.gaps.append(
                "connection: the quote covers \(Hex.encode(address)), which signs answers, and not "
                    + "the key of this connection")
        }
        if let log = try eventLog(report["event_log"]) {
            carried.events = try log.check(try DCAPQuote(bytes))
        }
        return carried
    }

    private static func address(_ text: String) -> [UInt8]? {
        Hex.decode(text.hasPrefix("0x") ? String(text.dropFirst(2)) : text)
    }

    // Proxies send it as JSON, or as text that holds JSON.
    private static func eventLog(_ value: JSONValue?) throws(Refusal) -> DstackEventLog? {
        guard let value, value != .null, value.text != "" else { return nil }
        let list = value.text.map { JSONParser.parse(Array($0.utf8)) } ?? value
        guard let items = list?.items, let log = DstackEventLog(json: items, isWhole: false) else {
            throw DstackEventLog.refusal("event_log", "events as dstack writes them", "another")
        }
        return log
    }

    // `{"nonce", "evidence_list": […]}`, as text or as it is.
    private static func devices(
        _ value: JSONValue?, nonce: [UInt8]
    ) throws(Refusal) -> [Evidence] {
        guard let value, value != .null, value.text != "" else { return [] }
        let payload = value.text.map { JSONParser.parse(Array($0.utf8)) } ?? value
        guard let items = payload?["evidence_list"]?.items else {
            throw AttestationEndpoint.malformed(.near, "nvidia_payload", "evidence of GPUs")
        }
        try ForeignDevices.check(payload?["nonce"], nonce, in: .near)
        return try ForeignDevices.evidence(items, nonce: nonce, in: .near)
    }
}
