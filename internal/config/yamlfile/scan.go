package yamlfile

// scanned is what is open at a place in a text.
type scanned struct {
	open []opened
	// quote is the first text in quotes that goes on over the end of its line, or has no
	// end; and ended the last of those that has one, in line end.
	quote, ended *opened
	end          int
}

// opened is a bracket or a quote.
type opened struct {
	what         byte
	line, column int
}

// scan looks at the first lines, scanTo at what is before a column as well.
func (s *source) scan(lines int) scanned { return s.look(lines, 0) }

func (s *source) scanTo(line, column int) scanned { return s.look(line, column) }

func (s *source) look(lines, column int) (found scanned) {
	var quote *opened
	for i, text := range s.lines[:lines] {
		if i == lines-1 && column > 0 {
			text = text[:min(column-1, len(text))]
		}
		for at := 0; at < len(text); at++ {
			c := text[at]
			here := opened{c, i + 1, at + 1}
			begins := at == 0 || isBreak(text[at-1])
			switch {
			case quote != nil && c == '\\' && quote.what == '"':
				at++
			case quote != nil && c == quote.what:
				if quote.line < here.line {
					found.ended, found.end = quote, here.line
				}
				quote = nil
			case quote != nil:
			case begins && (c == '"' || c == '\''):
				quote = &here
			case begins && c == '#':
				at = len(text)
			case c == '{' || c == '[':
				found.open = append(found.open, here)
			case (c == '}' || c == ']') && len(found.open) > 0:
				found.open = found.open[:len(found.open)-1]
			}
		}
		if quote != nil && found.quote == nil {
			found.quote = quote
		}
	}
	return found
}

// isBreak reports whether what stands behind a character may begin a text.
func isBreak(c byte) bool {
	return c == ' ' || c == '\t' || c == '[' || c == '{' || c == ',' || c == ':'
}
