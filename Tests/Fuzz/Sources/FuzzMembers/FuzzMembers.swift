import FuzzSupport
import Glibc
import Keys

@main struct FuzzMembers {
    static func main() {
        exit(drive { start, count in fuzz(start, count) })
    }
}

/// Bodies and events of strangers: what is JSON has the members that the other parser finds, in the
/// same places; what is not ends somewhere.
func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = FuzzInput(start, count).bytes
    var cursor = JSONMembers(bytes.span, 0..<bytes.count)
    var found: [(name: [UInt8], value: [UInt8])] = []
    var end = 0
    while let member = cursor.next(bytes.span) {
        require(member.whole.lowerBound >= end, "in order")
        require(member.whole.upperBound <= bytes.count, "within the bytes")
        require(member.whole.contains(member.value.lowerBound), "a value within its member")
        end = member.whole.upperBound
        found.append((Array(bytes[member.name]), Array(bytes[member.value])))
        _ = bytes.span.wholeNumber(member.value)
    }
    guard let members = JSONParser.parse(bytes)?.members else { return 0 }
    require(!cursor.isMalformed && cursor.close != nil, "an object is one to both")
    require(found.count == members.count, "as many members")
    for (mine, theirs) in zip(found, members) {
        require(JSONParser.parse(mine.value) == theirs.value, "the same value")
        let name = JSONParser.parse([0x22] + mine.name + [0x22])
        require(name == .string(theirs.name), "the same name")
    }
    return 0
}
