package diskbuffer

// appendStreams encodes the payload of a streams frame:
//
//	0  u32  count of streams
//	4  u32  flags: 1 these are all streams, 2 the buffer ends here by a clean close,
//	        4 each has an incarnation; what wrote no incarnations is still read
//
// and for each stream
//
//	 0  u32  index
//	 4  u32  length of the name
//	 8  u64  records of it before this frame
//	16  u64  sum of their body lengths
//	24  u64  last sequence number
//	32  i64  last time, nanoseconds since 1970
//	40  12 bytes  incarnation
//	52       name, UTF-8
func appendStreams(dst []byte, flags uint32, streams []Stream) []byte {
	dst = le.AppendUint32(dst, uint32(len(streams)))
	dst = le.AppendUint32(dst, flags|streamsNumbered)
	for i := range streams {
		st := &streams[i]
		dst = le.AppendUint32(dst, st.Index)
		dst = le.AppendUint32(dst, uint32(len(st.Name)))
		dst = le.AppendUint64(dst, st.Records)
		dst = le.AppendUint64(dst, st.Bytes)
		dst = le.AppendUint64(dst, st.LastSeq)
		dst = le.AppendUint64(dst, uint64(st.LastTime))
		dst = append(dst, st.Incarnation[:]...)
		dst = append(dst, st.Name...)
	}
	return dst
}

// streamsSize is what a streams frame with these streams takes on disk.
func streamsSize(streams []Stream) int64 {
	size := int64(frameHeaderSize + streamsHeadSize)
	for i := range streams {
		size += streamFixedSize + int64(len(streams[i].Name))
	}
	return size
}

// parseStreams decodes the payload of a streams frame. It takes no more memory
// than the payload justifies.
func parseStreams(src []byte) (flags uint32, streams []Stream, ok bool) {
	if len(src) < streamsHeadSize {
		return 0, nil, false
	}
	count := int(le.Uint32(src))
	flags = le.Uint32(src[4:])
	src = src[streamsHeadSize:]
	fixed := streamFixedSize
	if flags&streamsNumbered == 0 {
		fixed = streamShortSize
	}
	for range count {
		if len(src) < fixed {
			return 0, nil, false
		}
		n := int(le.Uint32(src[4:]))
		if n > MaxName || len(src) < fixed+n {
			return 0, nil, false
		}
		st := Stream{
			Index: le.Uint32(src), Records: le.Uint64(src[8:]), Bytes: le.Uint64(src[16:]), LastSeq: le.Uint64(src[24:]),
			LastTime: int64(le.Uint64(src[32:])), Name: string(src[fixed : fixed+n]),
		}
		copy(st.Incarnation[:], src[streamShortSize:fixed])
		streams = append(streams, st)
		src = src[fixed+n:]
	}
	return flags, streams, len(src) == 0
}
