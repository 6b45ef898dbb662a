import FuzzSupport
import Glibc
import HTTP

@main struct FuzzResponseHead {
    static func main() {
        exit(drive { start, count in fuzz(start, count) })
    }
}

func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    var input = FuzzInput(start, count)
    let method = input.choice(below: 4) == 0 ? "HEAD" : "GET"
    let whole = outcome(input.bytes, method)
    for cut in input.cuts(4) {
        let part = outcome(Array(input.bytes[..<cut]), method)
        switch (whole, part) {
        case (_, .needMore): if case .head(_, let end) = whole { require(cut < end, "needs more") }
        case (.refused(let one), .refused(let other)): require(one == other, "one refusal")
        case (.head(let one, let end), .head(let other, let otherEnd)):
            require(end == otherEnd && one.serialise() == other.serialise(), "one head")
        default: require(false, "a split changes nothing")
        }
    }
    guard case .head(let head, _) = whole else { return 0 }
    again(head, head.serialise(), method, head.framing, "written and read")
    var options = Forwarding.ResponseOptions()
    options.clientMinorVersion = input.choice(below: 2)
    options.closing = input.choice(below: 2) == 0
    options.dechunk = options.clientMinorVersion == 0
    let forwarded = Forwarding.response(head, options)
    again(head, forwarded.serialise(), method, forwarded.framing, "forwarded and read")
    return 0
}

/// The bytes read as the same response with the framing given.
func again(
    _ head: ResponseHead,
    _ written: [UInt8],
    _ method: String,
    _ framing: BodyFraming,
    _ property: String
) {
    // What is added to a head may carry a nearly full one past the limits.
    var limits = HTTPLimits()
    limits.maxHeadBytes *= 2
    limits.maxFields += 1
    do {
        let parsed = try ResponseHead.parse(written.span, limits: limits, requestMethod: method)
        require(parsed?.consumed == written.count, property)
        require(parsed?.head.framing == framing, property)
        require(parsed?.head.status == head.status, property)
    } catch {
        require(false, "\(property): \(error)")
    }
}

enum Outcome {
    case head(ResponseHead, Int)
    case refused(HTTPRefusal)
    case needMore
}

func outcome(_ bytes: [UInt8], _ method: String) -> Outcome {
    do throws(HTTPRefusal) {
        let parsed = try ResponseHead.parse(
            bytes.span,
            limits: HTTPLimits(),
            requestMethod: method
        )
        guard let parsed else { return .needMore }
        return .head(parsed.head, parsed.consumed)
    } catch {
        return .refused(error)
    }
}
