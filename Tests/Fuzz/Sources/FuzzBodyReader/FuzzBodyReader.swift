import FuzzSupport
import Glibc
import HTTP

@main struct FuzzBodyReader {
    static func main() {
        exit(drive { start, count in fuzz(start, count) })
    }
}

/// Whole and split, skimmed and in segments: each way reads the same body.
func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    var input = FuzzInput(start, count)
    let framings: [BodyFraming] = [
        .chunked, .chunked, .chunked, .length(UInt64(count / 2)), .untilClose, .none,
    ]
    let framing = framings[input.choice(below: framings.count)]
    let whole = read(framing, input.bytes, cuts: [])
    require(whole.data.count == Int(whole.dataCount), "data is counted")
    let split = read(framing, input.bytes, cuts: input.cuts(5))
    require(whole == split, "a split changes nothing")
    let skim = skim(framing, input.bytes, cuts: input.cuts(5))
    require(skim.code == whole.code, "skim refuses the same")
    require(skim.dataCount == whole.dataCount || whole.code != nil, "skim counts the same")
    if whole.code == nil {
        require(skim.consumed == whole.consumed && skim.finished == whole.finished, "one end")
    }
    return 0
}

struct Reading: Equatable {
    var data: [UInt8] = []
    var dataCount: UInt64 = 0
    var consumed = 0
    var finished = false
    var code: String?
}

func read(_ framing: BodyFraming, _ bytes: [UInt8], cuts: [Int]) -> Reading {
    var reader = BodyReader(framing)
    var reading = Reading()
    var start = 0
    for end in cuts + [bytes.count] {
        let piece = Array(bytes[start..<end])
        var offset = 0
        while true {
            let segment: BodyReader.Segment
            do throws(HTTPRefusal) {
                segment = try reader.next(piece.span, from: offset)
            } catch {
                // What was passed before the refusal depends on the reads; the refusal does not.
                reading.code = error.code
                reading.dataCount = reader.dataCount
                reading.consumed = 0
                return reading
            }
            require(segment.end >= offset && segment.end <= piece.count, "within the bytes")
            if segment.kind == .data { reading.data += piece[offset..<segment.end] }
            let stands = segment.kind == .end || segment.kind == .needMore
            require(stands == (segment.end == offset), "progress")
            offset = segment.end
            if stands { break }
        }
        reading.consumed = start + offset
        reading.finished = reader.isFinished
        reading.dataCount = reader.dataCount
        if reading.finished { return reading }
        start = end
    }
    return reading
}

func skim(_ framing: BodyFraming, _ bytes: [UInt8], cuts: [Int]) -> Reading {
    var reader = BodyReader(framing)
    var reading = Reading()
    var start = 0
    for end in cuts + [bytes.count] {
        let piece = Array(bytes[start..<end])
        do throws(HTTPRefusal) {
            let skim = try reader.skim(piece.span)
            reading.consumed = start + skim.consumed
            reading.finished = skim.finished
            reading.dataCount = reader.dataCount
        } catch {
            reading.code = error.code
            reading.dataCount = reader.dataCount
            return reading
        }
        if reading.finished { return reading }
        start = end
    }
    return reading
}
