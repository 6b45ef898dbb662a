import FoundationEssentials
import HTTP
import Testing

/// Recorded traffic of real servers, used in place.
enum Captures {
    static let root: String = {
        let shared = ProcessInfo.processInfo.environment["RATEL_SHARED"] ?? "../shared"
        return shared + "/captures"
    }()

    static let all: [String] = {
        let names = (try? FileManager.default.subpathsOfDirectory(atPath: root)) ?? []
        let raw = names.filter { $0.hasSuffix(".raw") }.sorted()
        return raw
    }()

    static func bytes(_ name: String) -> [UInt8] {
        guard let data = FileManager.default.contents(atPath: root + "/" + name) else { return [] }
        return Array(data)
    }
}

@Suite(.enabled(if: !Captures.all.isEmpty, "no recorded traffic at \(Captures.root)"))
struct CaptureTests {
    struct Message: Equatable {
        var statuses: [Int] = []
        var framing = BodyFraming.none
        var data: [UInt8] = []
        var rest = 0
        var complete = false
    }

    /// Reads one response, as a client that gets `piece` bytes more each time.
    private func read(_ bytes: [UInt8], piece: Int) throws -> Message {
        var message = Message()
        var available = 0
        var start = 0
        var reader: BodyReader?
        while available < bytes.count {
            available = min(available + piece, bytes.count)
            while reader == nil {
                let window = Array(bytes[start..<available])
                let parsed = try ResponseHead.parse(
                    window.span,
                    limits: HTTPLimits(),
                    requestMethod: "POST"
                )
                guard let parsed else { break }
                start += parsed.consumed
                message.statuses.append(parsed.head.status)
                if !parsed.head.isInterim {
                    message.framing = parsed.head.framing
                    reader = BodyReader(parsed.head.framing)
                }
            }
            guard reader != nil else { continue }
            let window = Array(bytes[start..<available])
            var offset = 0
            reading: while let segment = try reader?.next(window.span, from: offset) {
                switch segment.kind {
                case .data: message.data += window[offset..<segment.end]
                case .framing: break
                case .end, .needMore: break reading
                }
                offset = segment.end
            }
            start += offset
        }
        message.complete = reader?.finishedByClose() ?? false
        message.rest = bytes.count - start
        return message
    }

    @Test(arguments: Captures.all)
    func readsTheWholeAnswer(_ name: String) throws {
        let bytes = Captures.bytes(name)
        let whole = try read(bytes, piece: bytes.count)
        #expect(whole.complete && whole.rest == 0)
        #expect(whole.statuses.last.map { $0 >= 200 } == true)
        if whole.framing != .chunked {
            #expect(bytes.suffix(whole.data.count).elementsEqual(whole.data))
        }
        if name.contains("expect100") && name.contains("vllm") {
            #expect(whole.statuses == [100, 400])
        }
        for piece in [1, 2, 3, 7, 64, 1448] {
            #expect(try read(bytes, piece: piece) == whole)
        }
    }

    @Test(arguments: Captures.all.filter { $0.contains("vllm") && $0.contains("chat") })
    func everySplitIsTheSame(_ name: String) throws {
        let bytes = Captures.bytes(name)
        guard bytes.count < 8000 else { return }
        let parsed = try #require(
            try ResponseHead.parse(bytes.span, limits: HTTPLimits(), requestMethod: "POST")
        )
        for cut in 0...bytes.count {
            let front = Array(bytes[..<cut])
            let early = try ResponseHead.parse(
                front.span,
                limits: HTTPLimits(),
                requestMethod: "POST"
            )
            #expect((early != nil) == (cut >= parsed.consumed))
        }
        let body = Array(bytes[parsed.consumed...])
        let whole = readBody(parsed.head.framing, body)
        #expect(whole.finished && whole.consumed == body.count)
        for cut in 0...body.count {
            #expect(readBody(parsed.head.framing, body, cuts: [cut]) == whole)
        }
    }
}
