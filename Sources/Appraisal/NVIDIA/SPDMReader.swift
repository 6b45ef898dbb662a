internal import Bytes
internal import RATS

/// A cursor over a report that refuses in the device's name.
struct SPDMReader {
    private var reader: Reader
    let device: NVIDIADevice

    init(_ bytes: [UInt8], of device: NVIDIADevice) {
        reader = Reader(bytes)
        self.device = device
    }

    var offset: Int { reader.offset }
    var remaining: Int { reader.remaining }

    mutating func take(_ count: Int, _ field: String) throws(Refusal) -> [UInt8] {
        do throws(ReadError) {
            return try reader.take(count)
        } catch {
            throw device.malformed(field, "\(count) bytes", "\(error.remaining)")
        }
    }

    mutating func number(_ size: Int, _ field: String) throws(Refusal) -> Int {
        try take(size, field).reversed().reduce(0) { $0 << 8 | Int($1) }
    }

    /// A field that may have one value only.
    mutating func need(_ value: Int, _ size: Int, _ field: String) throws(Refusal) {
        let found = try number(size, field)
        guard found == value else {
            throw device.malformed(
                field, "0x\(String(value, radix: 16))", "0x\(String(found, radix: 16))")
        }
    }
}
