internal import Keys
internal import RATS

/// Azure's instance metadata service, which has the host make TDX quotes: `POST /acc/tdquote` with
/// `{"report": base64url}`, answered by `{"quote": base64url}`.
///
/// It is asked without TLS and need not be trusted: a quote is checked by whoever receives it.
struct MetadataService {
    /// An IPv4 address with a port.
    let address: String

    /// Where every VM finds it.
    static let usual = "169.254.169.254:80"
    /// Bytes of an answer: a quote of 8 KiB in base64, its JSON and the response's head.
    private static let maximumAnswer = 64 * 1024
    /// Seconds without a byte: an exchange as a whole has 10.
    private static let patience = 8

    /// A quote for a TDREPORT of this machine.
    func quote(_ report: [UInt8]) throws(Refusal) -> [UInt8] {
        let answer: [UInt8]
        do throws(HostError) {
            guard let place = HostSocket.Place(address: address) else {
                throw HostError(action: "read the address \(address)", code: HostError.invalid)
            }
            let socket = try HostSocket.connect(place, seconds: MetadataService.patience)
            try socket.send(request(report))
            answer = try socket.receiveAll(limit: MetadataService.maximumAnswer)
        } catch {
            throw error.refusal(
                .tdx, remedy: "check that this machine reaches \(address), and --metadata-service")
        }
        return try MetadataService.quote(in: answer)
    }

    // HTTP/1.0: the answer ends with the connection, and is in one piece.
    private func request(_ report: [UInt8]) -> [UInt8] {
        let body = "{\"report\":\"\(Base64.encode(url: report))\"}"
        let head = """
            POST /acc/tdquote HTTP/1.0\r
            Host: \(address)\r
            Content-Type: application/json\r
            Content-Length: \(body.utf8.count)\r
            \r

            """
        return Array((head + body).utf8)
    }

    /// The quote in a response; any other refuses.
    static func quote(in answer: [UInt8]) throws(Refusal) -> [UInt8] {
        let head = answer.prefix(while: { $0 != 13 && $0 != 10 })
        let words = head.split(separator: 32)
        guard words.count >= 2, words[0].starts(with: Array("HTTP/1.".utf8)),
            words[1].elementsEqual("200".utf8)
        else {
            throw refusal("status 200", String(decoding: head.prefix(80), as: UTF8.self))
        }
        let end = Array("\r\n\r\n".utf8)
        guard let split = answer.firstRange(of: end),
            let document = JSONParser.parse(Array(answer[split.upperBound...])),
            let quote = document["quote"]?.text.flatMap(Base64.decode(url:)), !quote.isEmpty
        else { throw refusal("JSON with a quote", "\(answer.count) bytes without one") }
        return quote
    }

    private static func refusal(_ expected: String, _ got: String) -> Refusal {
        Refusal(
            "tdx.metadata_service", .attestation, kind: "tdx", field: "metadata service",
            expected: expected, got: got,
            remedy: "check that this is an Azure confidential VM with TDX, and --metadata-service")
    }
}
