import FuzzSupport
import Glibc
import HTTP

@main struct FuzzProxyHeader {
    static func main() {
        exit(drive { start, count in fuzz(start, count) })
    }
}

func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    var input = FuzzInput(start, count)
    let whole = outcome(input.bytes)
    for cut in input.cuts(4) {
        let part = outcome(Array(input.bytes[..<cut]))
        switch (whole, part) {
        case (_, .needMore):
            if case .header(let parsed) = whole { require(cut < parsed.consumed, "needs more") }
        case (.refused(let one), .refused(let other)): require(one == other, "one refusal")
        case (.header(let one), .header(let other)): require(one == other, "one header")
        default: require(false, "a split changes nothing")
        }
    }
    switch whole {
    case .needMore: require(input.bytes.count < ProxyHeader.maxSize, "what is kept is bounded")
    case .refused: break
    case .header(let parsed):
        require(parsed.consumed <= ProxyHeader.maxSize, "at most the limit")
        let written = outcome(parsed.header.serialise())
        guard case .header(let again) = written else {
            require(false, "what is written is read")
            return 0
        }
        require(again.header == parsed.header, "written and read")
    }
    return 0
}

enum Outcome {
    case header(ProxyHeader.Parsed)
    case refused(HTTPRefusal)
    case needMore
}

func outcome(_ bytes: [UInt8]) -> Outcome {
    do throws(HTTPRefusal) {
        return try ProxyHeader.parse(bytes.span).map { .header($0) } ?? .needMore
    } catch {
        return .refused(error)
    }
}
