internal import Bytes
public import RATS

/// TPMS_ATTEST of a quote: TPM 2.0 Library part 2, section 10.12.8.
public struct TPMSAttest: Sendable, Equatable {
    /// One bank with its registers, TPMS_PCR_SELECTION.
    public struct Selection: Sendable, Equatable {
        /// TPM_ALG_ID of the bank.
        public let algorithm: UInt16
        /// The registers whose bits are set, ascending.
        public let registers: [Int]
    }

    /// The qualified Name of the key that signed.
    public let qualifiedSigner: [UInt8]
    /// The qualifying data.
    public let extraData: [UInt8]
    /// Milliseconds for which the TPM has been powered.
    public let clock: UInt64
    /// How often the TPM was reset.
    public let resetCount: UInt32
    /// How often the TPM was restarted or resumed since.
    public let restartCount: UInt32
    /// Whether no earlier value of the clock was larger.
    public let safe: Bool
    /// The vendor's version of the firmware.
    public let firmwareVersion: UInt64
    /// The banks and registers quoted.
    public let selections: [Selection]
    /// The hash over the registers' values.
    public let pcrDigest: [UInt8]

    /// TPM_GENERATED_VALUE: no TPM signs these four bytes at the front of anything from outside.
    static let generated: UInt32 = 0xFF54_4347
    /// TPM_ST_ATTEST_QUOTE.
    static let quote: UInt16 = 0x8018
    /// The structure with the largest of everything: 66 + 66 bytes of Name and data, 16 banks.
    static let limit = 512

    /// Reads the bytes that a TPM signed.
    public init(_ bytes: [UInt8]) throws(Refusal) {
        var reader = Reader(bytes)
        let magic = try? reader.u32()
        guard magic == TPMSAttest.generated else {
            throw Refusal(
                "tpm.attest.magic",
                .evidence,
                kind: "tpm",
                field: "magic",
                expected: "ff544347",
                got: magic.map { String($0, radix: 16) } ?? "nothing",
                remedy: "these bytes were not made by a TPM"
            )
        }
        let type = try? reader.u16()
        guard type == TPMSAttest.quote else {
            throw Refusal(
                "tpm.attest.type",
                .evidence,
                kind: "tpm",
                field: "type",
                expected: "8018 (quote)",
                got: type.map { String($0, radix: 16) } ?? "nothing",
                remedy: "the attester must use TPM2_Quote"
            )
        }
        self = try TPMStructure.read("TPMS_ATTEST", bytes, limit: TPMSAttest.limit) {
            reader throws(ReadError) in
            _ = try reader.take(6)
            return try TPMSAttest(body: &reader)
        }
    }

    private init?(body reader: inout Reader) throws(ReadError) {
        qualifiedSigner = try reader.sized()
        extraData = try reader.sized()
        clock = try reader.u64()
        resetCount = try reader.u32()
        restartCount = try reader.u32()
        switch try reader.u8() {
        case 0: safe = false
        case 1: safe = true
        default: return nil
        }
        firmwareVersion = try reader.u64()
        let count = try reader.u32()
        // TPM2_NUM_PCR_BANKS: 16.
        guard count <= 16 else { return nil }
        var selections: [Selection] = []
        for _ in 0..<count {
            let algorithm = try reader.u16()
            let size = try reader.u8()
            // TPM2_PCR_SELECT_MAX: 32 registers in 4 bytes.
            guard size <= 4 else { return nil }
            let bitmap = try reader.take(Int(size))
            let registers = (0..<bitmap.count * 8).filter { bitmap[$0 / 8] >> ($0 % 8) & 1 == 1 }
            selections.append(Selection(algorithm: algorithm, registers: registers))
        }
        self.selections = selections
        pcrDigest = try reader.sized()
    }
}
