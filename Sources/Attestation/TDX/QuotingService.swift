internal import Bytes
internal import RATS

/// Intel's quoting service on the host, asked over a socket: SGXDataCenterAttestationPrimitives,
/// QuoteGeneration/quote_wrapper/qgs_msg_lib (message version 1), as its libtdx_attest does.
///
/// Each message has its length in front, u32 big-endian; inside, numbers are little-endian.
struct QuotingService {
    let place: HostSocket.Place

    /// Bytes of a TDREPORT: Intel TDX Module ABI, TDREPORT_STRUCT.
    static let reportSize = 1024
    /// Bytes of an answer: a quote has some 8 KiB, the kernel's limit is 128 KiB.
    static let maximumAnswer = 128 * 1024
    /// Seconds without a byte: an exchange as a whole has 10.
    static let patience = 8

    private static let requestType: UInt32 = 0
    private static let answerType: UInt32 = 1
    /// Version u16 twice, type u32, size u32, error u32.
    private static let headerSize = 16

    /// A quote for a TDREPORT of this machine.
    func quote(_ report: [UInt8]) throws(Refusal) -> [UInt8] {
        let answer: [UInt8]
        do throws(HostError) {
            let socket = try HostSocket.connect(place, seconds: QuotingService.patience)
            let message = QuotingService.request(report)
            try socket.send(QuotingService.framed(message))
            let size = try socket.receive(4).reduce(0) { $0 << 8 | Int($1) }
            guard (1...QuotingService.maximumAnswer).contains(size) else {
                throw HostError(action: "quote by \(place)", code: HostError.invalid)
            }
            answer = try socket.receive(size)
        } catch {
            throw error.refusal(
                .tdx, remedy: "check the host's quoting service (qgsd), and --quoting-service")
        }
        return try QuotingService.quote(in: answer)
    }

    static func framed(_ message: [UInt8]) -> [UInt8] {
        var writer = Writer()
        writer.u32(UInt32(message.count))
        writer.append(message)
        return writer.bytes
    }

    /// qgs_msg_get_quote_req_t with one report, and no list of attestation keys to choose from.
    static func request(_ report: [UInt8]) -> [UInt8] {
        precondition(report.count == reportSize, "a TDREPORT has 1024 bytes")
        let size = UInt32(headerSize + 8 + report.count)
        var message = Writer()
        for number in [UInt16(1), 0] { message.u16(number.byteSwapped) }
        for number in [requestType, size, 0, UInt32(report.count), 0] {
            message.u32(number.byteSwapped)
        }
        message.append(report)
        return message.bytes
    }

    /// The quote in a qgs_msg_get_quote_resp_t; any other message refuses.
    static func quote(in answer: [UInt8]) throws(Refusal) -> [UInt8] {
        var reader = Reader(answer)
        // Services of both minor versions, 0 and 1, lay this message out the same.
        guard let major = try? reader.u16LittleEndian(), (try? reader.take(2)) != nil,
            let type = try? reader.u32LittleEndian(), let size = try? reader.u32LittleEndian(),
            let failure = try? reader.u32LittleEndian()
        else { throw refusal("a whole answer", "\(answer.count) bytes") }
        guard major == 1, type == answerType, Int(size) == answer.count else {
            throw refusal("an answer of \(size) bytes", "version \(major), type \(type)")
        }
        guard failure == 0 else {
            throw refusal("success", "error 0x\(String(failure, radix: 16))")
        }
        guard let chosen = try? reader.u32LittleEndian(),
            let length = try? reader.u32LittleEndian(),
            (try? reader.take(Int(chosen))) != nil, let quote = try? reader.take(Int(length)),
            !quote.isEmpty, reader.isAtEnd
        else { throw refusal("a quote", "\(answer.count) bytes without one") }
        return quote
    }

    private static func refusal(_ expected: String, _ got: String) -> Refusal {
        Refusal(
            "tdx.quoting_service", .attestation, kind: "tdx", field: "quoting service",
            expected: expected, got: got,
            remedy: "look at the log of the host's quoting service (qgsd)")
    }
}
