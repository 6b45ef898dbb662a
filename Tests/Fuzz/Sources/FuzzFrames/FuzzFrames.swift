import FuzzSupport
import Glibc
import RATLS
import RATS

@main struct FuzzFrames {
    static func main() {
        exit(drive { start, count in fuzz(start, count) })
    }
}

/// Frames and their bodies: what is read is written as it came, whatever follows it.
func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    var input = FuzzInput(start, count)
    let whole = decode(input.bytes)
    let cut = input.choice(below: count + 1)
    let part = decode(Array(input.bytes[..<cut]))
    if let part, let whole { require(part == whole, "a split changes nothing") }
    guard let whole else { return 0 }
    require(input.bytes.starts(with: whole.encoded), "written as it came")
    let body = whole.body
    switch whole.kind {
    case .challenge:
        if let read = try? ChallengeBody.decode(body) { require(read.encoded == body, "challenge") }
    case .evidence:
        if let read = try? EvidenceBody.decode(body) { require(read.encoded == body, "evidence") }
    case .result:
        _ = try? ResultBody.decode(body)
    case .activation:
        _ = try? ActivationBody.decode(body)
    case .activated:
        _ = try? ActivationBody.decodeSecret(body)
    case .lease:
        if let read = try? LeaseBody.decode(body) { require(read.encoded == body, "lease") }
    }
    return 0
}

func decode(_ bytes: [UInt8]) -> Frame? {
    (try? Frame.decode(bytes[...])) ?? nil
}
