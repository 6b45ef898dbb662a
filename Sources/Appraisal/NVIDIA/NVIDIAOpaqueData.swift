internal import Keys
internal import RATS

/// OpaqueData as NVIDIA's devices fill it: type u16, size u16, value, one after the other.
///
/// Types and their names are those of NVIDIA's attestation SDK (nvtrust, attestation-sdk).
struct NVIDIAOpaqueData: Sendable {
    /// The fields that mean something here.
    enum Field: UInt16 {
        case driverVersion = 3
        case vbiosVersion = 6
        case nvdec0Status = 11
        case chipSKU = 15
        case project = 17
        case projectSKU = 18
        case fwid = 20
        case protectedPCIeStatus = 21
        case switchPDI = 22
        case switchGPUPDIs = 26
        case dataVersion = 34
        case featureFlag = 36
    }

    /// Every field in its order, known or not.
    let fields: [(type: UInt16, value: [UInt8])]

    init(_ bytes: [UInt8], of device: NVIDIADevice) throws(Refusal) {
        var reader = SPDMReader(bytes, of: device)
        var fields: [(type: UInt16, value: [UInt8])] = []
        while reader.remaining > 0 {
            let type = UInt16(try reader.number(2, "opaque data type"))
            let size = try reader.number(2, "opaque data size")
            let value = try reader.take(size, "opaque data \(type)")
            guard !fields.contains(where: { $0.type == type }) else {
                throw device.malformed("opaque data", "each type once", "\(type) twice")
            }
            fields.append((type, value))
        }
        self.fields = fields
        // Absent before version 1; a later one may mean other things with the same numbers.
        let version = self[.dataVersion] ?? [0]
        guard version.first ?? 0 <= 1, version.dropFirst().allSatisfy({ $0 == 0 }) else {
            throw device.malformed("opaque data version", "0 or 1", Hex.encode(version))
        }
    }

    /// The value of a field, or `nil` if the device sent none.
    subscript(field: Field) -> [UInt8]? { fields.first { $0.type == field.rawValue }?.value }

    /// The characters of a field up to the first zero; `nil` unless they are visible ASCII.
    func text(_ field: Field) -> String? {
        guard let value = self[field] else { return nil }
        let text = value.prefix { $0 != 0 }
        guard !text.isEmpty, text.allSatisfy({ (0x21..<0x7F).contains($0) }) else { return nil }
        return String(decoding: text, as: UTF8.self)
    }

    /// Identifiers of 8 bytes each, zeros where a place is empty; `nil` if they come out uneven.
    func identifiers(_ field: Field) -> Set<[UInt8]>? {
        guard let value = self[field] else { return [] }
        guard value.count.isMultiple(of: 8) else { return nil }
        let all = stride(from: 0, to: value.count, by: 8).map { Array(value[$0..<$0 + 8]) }
        return Set(all.filter { $0.contains { $0 != 0 } })
    }
}
