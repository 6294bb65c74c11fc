// Return a zip of [name, Blob] pairs. It is not compressed, since JPEGs would not get smaller. Names must be ASCII.
// See https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
export const zip = async files => {
    const bodies = [],
        heads = []
    let at = 0
    for (const [name, blob] of files) {
        const bytes = new Uint8Array(await blob.arrayBuffer()),
            label = new TextEncoder().encode(name)
        const rest = fields(
            [2, 20],
            [2, 0],
            [2, 0],
            [4, 0x210000],
            [4, crc32(bytes)],
            [4, bytes.length],
            [4, bytes.length],
            [2, label.length],
            [2, 0],
        )
        bodies.push(fields([4, 0x04034b50]), rest, label, bytes)
        heads.push(fields([4, 0x02014b50], [2, 20]), rest, fields([2, 0], [2, 0], [2, 0], [4, 0], [4, at]), label)
        at += 30 + label.length + bytes.length
    }
    const size = heads.reduce((sum, part) => sum + part.length, 0),
        n = files.length
    const end = fields([4, 0x06054b50], [2, 0], [2, 0], [2, n], [2, n], [4, size], [4, at], [2, 0])
    return new Blob([...bodies, ...heads, end], {type: "application/zip"})
}

// Return the bytes of numbers, the lowest byte first. Each number is given as a [number of bytes, number] pair.
const fields = (...pairs) =>
    Uint8Array.from(pairs.flatMap(([size, number]) => Array.from({length: size}, (_, i) => (number >>> (8 * i)) & 255)))

const crc32 = bytes => {
    let crc = -1
    for (const byte of bytes) {
        crc ^= byte
        for (let k = 0; k < 8; k++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0)
    }
    return ~crc
}
