import FuzzSupport
import Glibc
import HTTP

@main struct FuzzRequestHead {
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
        case (_, .needMore): if case .head(_, let end) = whole { require(cut < end, "needs more") }
        case (.refused(let one), .refused(let other)): require(one == other, "one refusal")
        case (.head(let one, let end), .head(let other, let otherEnd)):
            require(end == otherEnd && one.serialise() == other.serialise(), "one head")
        default: require(false, "a split changes nothing")
        }
    }
    guard case .head(let head, _) = whole else { return 0 }
    require(head.target.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }, "a target of visible ASCII")
    again(head, head.serialise(), "written and read")
    let options = Forwarding.RequestOptions(fallbackHost: "backend")
    let forwarded = Forwarding.request(head, options)
    again(head, forwarded.serialise(), "forwarded and read")
    require(!forwarded.fields.contains(named: "connection"), "no hop-by-hop field is left")
    return 0
}

/// The bytes read as the same request with the same framing.
func again(_ head: RequestHead, _ written: [UInt8], _ property: String) {
    // What is added to a head may carry a nearly full one past the limits.
    var limits = HTTPLimits()
    limits.maxHeadBytes *= 2
    limits.maxFields += 1
    do {
        let parsed = try RequestHead.parse(written.span, limits: limits)
        require(parsed?.consumed == written.count, property)
        require(parsed?.head.framing == head.framing, property)
        require(parsed?.head.method == head.method, property)
        require(parsed?.head.target == head.target, property)
    } catch {
        require(false, "\(property): \(error)")
    }
}

enum Outcome {
    case head(RequestHead, Int)
    case refused(HTTPRefusal)
    case needMore
}

func outcome(_ bytes: [UInt8]) -> Outcome {
    do throws(HTTPRefusal) {
        guard let parsed = try RequestHead.parse(bytes.span, limits: HTTPLimits()) else {
            return .needMore
        }
        return .head(parsed.head, parsed.consumed)
    } catch {
        return .refused(error)
    }
}
