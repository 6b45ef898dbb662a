internal import Bytes

/// The keys that Ratel makes in a TPM, and other inputs of commands, as TPM structures.
enum TPMTemplate {
    /// TPM2B_PUBLIC of the attestation key: a primary P-256 key that signs with ECDSA and SHA-256,
    /// restricted to what the TPM itself made.
    ///
    /// A primary key follows from the hierarchy's seed and this template, so its Name stays the
    /// same over restarts, until the TPM gets a new endorsement seed.
    static var attestationKey: [UInt8] {
        var area = Writer()
        area.u16(0x0023)  // TPM_ALG_ECC
        area.u16(0x000B)  // name: SHA-256
        // fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, noDA, restricted, sign
        area.u32(1 << 1 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 10 | 1 << 16 | 1 << 18)
        area.u16(0)  // no policy
        area.u16(0x0010)  // no symmetric algorithm
        area.u16(0x0018)  // ECDSA
        area.u16(0x000B)  // with SHA-256
        area.u16(0x0003)  // NIST P-256
        area.u16(0x0010)  // no KDF
        // A unique value of its own keeps this key apart from other software's with this template.
        let label = Array("ratel-attest/1 tpm attestation key".utf8.prefix(32))
        area.u16(UInt16(label.count))
        area.append(label)
        area.u16(0)
        return sized(area.bytes)
    }

    /// TPM2B_PUBLIC of the endorsement key, template L-1: TCG EK Credential Profile, B.3.3.
    static var endorsementKey: [UInt8] {
        var area = Writer()
        area.u16(0x0001)  // TPM_ALG_RSA
        area.u16(0x000B)
        area.u32(0x0003_00B2)
        area.u16(32)
        area.append([
            0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xB3, 0xF8, 0x1A, 0x90, 0xCC, 0x8D, 0x46, 0xA5,
            0xD7, 0x24, 0xFD, 0x52, 0xD7, 0x6E, 0x06, 0x52, 0x0B, 0x64, 0xF2, 0xA1, 0xDA, 0x1B,
            0x33, 0x14, 0x69, 0xAA,
        ])
        area.u16(0x0006)  // AES
        area.u16(128)
        area.u16(0x0043)  // CFB
        area.u16(0x0010)  // no scheme
        area.u16(2048)
        area.u32(0)
        area.u16(256)
        area.append([UInt8](repeating: 0, count: 256))
        return sized(area.bytes)
    }

    /// TPML_PCR_SELECTION of some registers of one bank.
    static func selection(bank: UInt16, registers: [Int]) -> [UInt8] {
        var bitmap: [UInt8] = [0, 0, 0]
        for register in registers { bitmap[register / 8] |= 1 << UInt8(register % 8) }
        var list = Writer()
        list.u32(1)
        list.u16(bank)
        list.u8(3)
        list.append(bitmap)
        return list.bytes
    }

    /// Bytes with a u16 size in front.
    static func sized(_ bytes: [UInt8]) -> [UInt8] {
        var writer = Writer()
        writer.u16(UInt16(bytes.count))
        writer.append(bytes)
        return writer.bytes
    }
}
