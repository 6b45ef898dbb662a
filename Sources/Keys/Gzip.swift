internal import CZlib

/// Reads one member of GZIP (RFC 1952), whole in memory.
public enum Gzip {
    /// The content of the one member that `bytes` are; nil where they are none, the checksum does
    /// not hold, bytes follow, or there are more than `limit`.
    public static func decompress(_ bytes: [UInt8], limit: Int) -> [UInt8]? {
        // zlib counts in 32 bits, and nothing that is read here comes near them.
        guard bytes.count < Int(Int32.max), (0..<Int(Int32.max)).contains(limit) else { return nil }
        var stream = unsafe z_stream()
        guard unsafe ratel_zlib_begin(&stream) == Z_OK else { return nil }
        defer { unsafe inflateEnd(&stream) }
        var input = bytes
        // One more byte than allowed, so that more is noticed, and never more in memory.
        let content = unsafe [UInt8](unsafeUninitializedCapacity: limit + 1) { output, count in
            let status = unsafe input.withUnsafeMutableBufferPointer { input in
                unsafe stream.next_in = input.baseAddress
                unsafe stream.avail_in = UInt32(input.count)
                unsafe stream.next_out = output.baseAddress
                unsafe stream.avail_out = UInt32(output.count)
                return unsafe inflate(&stream, Z_FINISH)
            }
            let isWhole = unsafe status == Z_STREAM_END && stream.avail_in == 0
            unsafe count = isWhole ? output.count - Int(stream.avail_out) : limit + 1
            if !isWhole { unsafe output.initialize(repeating: 0) }
        }
        return content.count <= limit ? content : nil
    }

    /// What stands behind `magic`, decompressed; `bytes` as they are where they do not begin so.
    public static func unwrapped(_ bytes: [UInt8], magic: [UInt8], limit: Int) -> [UInt8]? {
        guard bytes.starts(with: magic) else { return bytes }
        return decompress(Array(bytes.dropFirst(magic.count)), limit: limit)
    }
}
