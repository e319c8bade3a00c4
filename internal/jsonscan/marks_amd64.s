#include "textflag.h"

// part looks at the 16 bytes at SI+AX and an offset: into R go a bit for each quote.
// X4 holds 16 times a quote, X5 a backslash, X6 0x1f; X7, X8 and X9 gather controls,
// backslashes and all bytes.
#define part(offset, R) \
	MOVOU offset(SI)(AX*1), X0 \
	MOVO X0, X1 \
	MOVO X0, X2 \
	MOVO X0, X3 \
	PCMPEQB X4, X1 \
	PMOVMSKB X1, R \
	POR X0, X9 \
	PCMPEQB X5, X2 \
	POR X2, X8 \
	PMINUB X6, X3 \
	PCMPEQB X0, X3 \
	POR X3, X7

// gather makes one number in R8 of the 16 bits each of R8, R9, R10 and R11.
#define gather \
	SHLQ $16, R9 \
	SHLQ $32, R10 \
	SHLQ $48, R11 \
	ORQ R9, R8 \
	ORQ R11, R10 \
	ORQ R10, R8

// block does so with 64 bytes, whose quotes are in R8 then.
#define block \
	part(0, R8) \
	part(16, R9) \
	part(32, R10) \
	part(48, R11) \
	gather

// func markQuotes(src *byte, n int, quotes *uint64) (controls, backslashes, high uint16)
TEXT ·markQuotes(SB), NOSPLIT, $0-30
	MOVQ src+0(FP), SI
	MOVQ n+8(FP), CX
	MOVQ quotes+16(FP), DI
	MOVQ $0x2222222222222222, AX
	MOVQ AX, X4
	PUNPCKLQDQ X4, X4
	MOVQ $0x5c5c5c5c5c5c5c5c, AX
	MOVQ AX, X5
	PUNPCKLQDQ X5, X5
	MOVQ $0x1f1f1f1f1f1f1f1f, AX
	MOVQ AX, X6
	PUNPCKLQDQ X6, X6
	PXOR X7, X7
	PXOR X8, X8
	PXOR X9, X9
	LEAQ -64(CX), DX // the last place of a block
	XORQ AX, AX

next:
	block
	MOVQ R8, (DI)
	ADDQ $8, DI
	ADDQ $64, AX
	CMPQ AX, DX
	JLE next

	SUBQ AX, CX
	JE end

	// The last block overlaps what was looked at already, which is shifted out.
	MOVQ DX, AX
	block
	NEGQ CX
	ANDQ $63, CX
	SHRQ CX, R8
	MOVQ R8, (DI)

end:
	PMOVMSKB X7, AX
	MOVW AX, controls+24(FP)
	PMOVMSKB X8, AX
	MOVW AX, backslashes+26(FP)
	PMOVMSKB X9, AX
	MOVW AX, high+28(FP)
	RET

// like has a bit in R8 for each of 64 bytes at SI+AX that is the one in X4.
#define like \
	MOVOU (SI)(AX*1), X0 \
	MOVOU 16(SI)(AX*1), X1 \
	MOVOU 32(SI)(AX*1), X2 \
	MOVOU 48(SI)(AX*1), X3 \
	PCMPEQB X4, X0 \
	PCMPEQB X4, X1 \
	PCMPEQB X4, X2 \
	PCMPEQB X4, X3 \
	PMOVMSKB X0, R8 \
	PMOVMSKB X1, R9 \
	PMOVMSKB X2, R10 \
	PMOVMSKB X3, R11 \
	gather

// func markBackslashes(src *byte, n int, marks *uint64)
TEXT ·markBackslashes(SB), NOSPLIT, $0-24
	MOVQ src+0(FP), SI
	MOVQ n+8(FP), CX
	MOVQ marks+16(FP), DI
	MOVQ $0x5c5c5c5c5c5c5c5c, AX
	MOVQ AX, X4
	PUNPCKLQDQ X4, X4
	LEAQ -64(CX), DX
	XORQ AX, AX

next:
	like
	MOVQ R8, (DI)
	ADDQ $8, DI
	ADDQ $64, AX
	CMPQ AX, DX
	JLE next

	SUBQ AX, CX
	JE end
	MOVQ DX, AX
	like
	NEGQ CX
	ANDQ $63, CX
	SHRQ CX, R8
	MOVQ R8, (DI)

end:
	RET
