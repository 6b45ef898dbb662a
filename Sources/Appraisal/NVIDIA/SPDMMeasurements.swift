internal import RATS

/// A GET_MEASUREMENTS request and the MEASUREMENTS response to it, one behind the other: Security
/// Protocol and Data Model Specification (DMTF DSP0274) 1.1.0, section 10.11.
///
/// Integers are little-endian. The signature covers all that stands before it.
struct SPDMMeasurements: Sendable {
    /// NVML's buffer for both (NVML_CC_GPU_ATTESTATION_REPORT_SIZE).
    static let maxSize = 0x2000
    /// Raw r ‖ s over P-384.
    static let signatureSize = 96
    /// The specification caps OpaqueData at this.
    static let maxOpaque = 1024
    /// A DMTF measurement: value type, value size, SHA-384.
    private static let blockSize = 3 + 48

    /// Chosen by the Relying Party, 32 bytes.
    let requestNonce: [UInt8]
    /// Chosen by the device, 32 bytes.
    let responseNonce: [UInt8]
    /// SHA-384 measurements by block index, 1 and up.
    let measurements: [UInt8: [UInt8]]
    /// OpaqueData, which the vendor defines.
    let opaque: [UInt8]
    /// Everything that the signature covers.
    let signed: [UInt8]
    /// r ‖ s.
    let signature: [UInt8]

    init(_ bytes: [UInt8], of device: NVIDIADevice) throws(Refusal) {
        guard bytes.count <= SPDMMeasurements.maxSize else {
            throw device.malformed(
                "report", "at most \(SPDMMeasurements.maxSize) bytes", "\(bytes.count)")
        }
        var reader = SPDMReader(bytes, of: device)
        requestNonce = try SPDMMeasurements.request(&reader)
        measurements = try SPDMMeasurements.record(&reader)
        responseNonce = try reader.take(32, "Nonce")
        let size = try reader.number(2, "OpaqueLength")
        guard size <= SPDMMeasurements.maxOpaque else {
            throw device.malformed(
                "OpaqueLength", "at most \(SPDMMeasurements.maxOpaque)", "\(size)")
        }
        opaque = try reader.take(size, "OpaqueData")
        signed = Array(bytes[..<reader.offset])
        signature = try reader.take(SPDMMeasurements.signatureSize, "Signature")
        guard reader.remaining == 0 else {
            throw device.malformed("report", "its end", "\(reader.remaining) bytes more")
        }
    }

    // All measurements, signed, from slot 0: a request for less would be answered with less.
    private static func request(_ reader: inout SPDMReader) throws(Refusal) -> [UInt8] {
        try reader.need(0x11, 1, "request SPDMVersion")
        try reader.need(0xE0, 1, "request code")
        try reader.need(1, 1, "request attributes")
        try reader.need(0xFF, 1, "measurement operation")
        let nonce = try reader.take(32, "request nonce")
        try reader.need(0, 1, "request SlotID")
        return nonce
    }

    private static func record(_ reader: inout SPDMReader) throws(Refusal) -> [UInt8: [UInt8]] {
        let device = reader.device
        try reader.need(0x11, 1, "response SPDMVersion")
        try reader.need(0x60, 1, "response code")
        try reader.need(0, 1, "response Param1")
        try reader.need(0, 1, "response SlotID")
        let count = try reader.number(1, "NumberOfBlocks")
        let size = try reader.number(3, "MeasurementRecordLength")
        guard count > 0, size == count * (4 + blockSize) else {
            throw device.malformed(
                "MeasurementRecordLength", "\(4 + blockSize) for each block, and one at least",
                "\(size) for \(count)")
        }
        var measurements: [UInt8: [UInt8]] = [:]
        for _ in 0..<count {
            let index = UInt8(try reader.number(1, "block index"))
            try reader.need(1, 1, "MeasurementSpecification")
            try reader.need(blockSize, 2, "MeasurementSize")
            let type = try reader.number(1, "DMTFSpecMeasurementValueType")
            // 0 to 4 are the types; bit 7 would announce raw bytes instead of a digest.
            guard type <= 4 else {
                throw device.malformed(
                    "DMTFSpecMeasurementValueType", "a digest of a known type", "\(type)")
            }
            try reader.need(48, 2, "DMTFSpecMeasurementValueSize")
            let value = try reader.take(48, "DMTFSpecMeasurementValue")
            guard index > 0, measurements.updateValue(value, forKey: index) == nil else {
                throw device.malformed("block index", "each index once, from 1", "\(index)")
            }
        }
        return measurements
    }
}
