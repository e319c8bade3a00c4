package runfile

import (
	"errors"
	"io/fs"
	"regexp"
	"strings"
	"time"

	"github.com/spillway/spillway/internal/config/setting"
	"github.com/spillway/spillway/internal/template"
)

// FileSink writes files.
type FileSink struct {
	Path *template.Template // absolute; of the tag and the time

	Format  RecordFormat // FormatJSON, FormatText or FormatOutFile
	LogKey  string       // the key whose value FormatText writes
	TextKey string       // the key under which a line of text stands, but in FormatText
	TagKey  string       // the key that gets the tag in FormatJSON; "" adds none
	TimeKey string       // the key that gets the time in FormatJSON; "" adds none

	MaxSize       int64         // bytes at which a new file begins; 0 never
	RotateEvery   time.Duration // likewise, by the clock; 0 never
	MaxFile       int           // files of one path, the current included; 0 keeps all
	Compress      Compression   // of files that are no longer written
	FileMode      fs.FileMode
	DirMode       fs.FileMode
	FlushInterval time.Duration
}

// fileSinkRows is the table of the sink file.
func fileSinkRows() []row[FileSink] {
	type sink = FileSink
	return []row[sink]{
		{Option: Option{Name: "path", Takes: "template", Required: true,
			Help: "Names the files, with " + template.Placeholders + "; directories are made."},
			set: func(p *parser, s *sink, v value) (expected string) {
				s.Path, expected = p.pathTemplate(v.Text)
				p.warnOfDates(v)
				return expected
			}},
		{Option: Option{Name: "format", Kind: setting.Enum, Default: string(FormatJSON), Enum: []string{string(FormatJSON), string(FormatText), string(FormatOutFile)},
			Help: "Says what a line is: the record as a JSON object, the value of log-key alone, or as fluentd's out_file writes it, with time, tag and the object between tabs."},
			set: text(func(s *sink) *RecordFormat { return &s.Format })},
		{Option: Option{Name: "log-key", Default: defaultLogKey, Help: "Names the key whose value is the line in format text; a record without it is written as JSON."},
			set: text(func(s *sink) *string { return &s.LogKey })},
		{Option: Option{Name: "text-key", Default: "message", Help: "Is the key under which a line of text stands in a record, but in format text."},
			set: text(func(s *sink) *string { return &s.TextKey })},
		{Option: Option{Name: "tag-key", Help: "Names the key that gets the tag in format json, unless the record has it; unset adds none."},
			set: text(func(s *sink) *string { return &s.TagKey })},
		{Option: Option{Name: "time-key", Default: "time", Help: "Names the key that gets the time in format json, unless the record has it; none adds none."},
			set: textOrNone(func(s *sink) *string { return &s.TimeKey })},
		{Option: Option{Name: "max-size", Kind: setting.FileSize, Help: "Begins a new file at this size; unset never does."},
			set: number(func(s *sink) *int64 { return &s.MaxSize })},
		{Option: Option{Name: "rotate-every", Kind: setting.Duration, Help: "Begins a new file at each multiple of this time since 1970 in UTC, so that 24h is at midnight; unset never does."},
			check: atLeastASecond, set: duration(func(s *sink) *time.Duration { return &s.RotateEvery })},
		{Option: Option{Name: "max-file", Kind: setting.Int, Help: "Keeps this many files of one path, the current one included, and removes the oldest; needs max-size or rotate-every; unset keeps all."},
			check: between(1, 1_000_000), set: number(func(s *sink) *int { return &s.MaxFile })},
		{Option: Option{Name: "compress", Kind: setting.Enum, Default: string(CompressNone), Enum: compressions,
			Help: "Compresses files that are no longer written; needs max-size or rotate-every."},
			synonyms: []string{"true", string(CompressGzip), "false", string(CompressNone)},
			set:      text(func(s *sink) *Compression { return &s.Compress })},
		{Option: Option{Name: "file-mode", Takes: "mode", Default: "0640", Help: "Is the mode of new files, in octal digits."},
			set: mode(func(s *sink) *fs.FileMode { return &s.FileMode })},
		{Option: Option{Name: "dir-mode", Takes: "mode", Default: "0750", Help: "Is the mode of new directories."},
			set: mode(func(s *sink) *fs.FileMode { return &s.DirMode })},
		{Option: Option{Name: "flush-interval", Kind: setting.Duration, Default: "1s", Help: "Limits how long a record waits to be written and synced with others."},
			check: setting.PositiveDuration, set: duration(func(s *sink) *time.Duration { return &s.FlushInterval })},
	}
}

// defaultLogKey is where FireLens and Docker's driver fluentd put the line.
const defaultLogKey = "log"

func atLeastASecond(v setting.Value) string {
	if v.Duration < time.Second {
		return "a duration of at least 1s"
	}
	return ""
}

// pathTemplate reads the template of a path.
func (p *parser) pathTemplate(text string) (*template.Template, string) {
	// The directory of the configuration is no template.
	if !strings.HasPrefix(text, "/") {
		text = strings.NewReplacer("{", "{{", "}", "}}").Replace(p.dir) + "/" + text
	}
	t, expected := parseTemplate(text)
	if expected == "" && (strings.HasSuffix(text, "/") || strings.Contains(text+"/", "/../")) {
		return nil, "the path of a file, without .. in it"
	}
	return t, expected
}

// dates are letters of strftime as they stand in names of files elsewhere.
var dates = regexp.MustCompile(`%[YmdHjF]`)

// warnOfDates warns of letters of strftime in a template, which has other placeholders for dates:
// all records would go to one file, whose name has a percent sign.
func (p *parser) warnOfDates(v value) {
	if found := dates.FindString(v.Text); found != "" {
		p.warnings.add(p.where(v.node), setting.Quote(found)+" stands for itself; a date is {date}, an hour {hour}")
	}
}

// parseTemplate reads a template, and says what was expected.
func parseTemplate(text string) (*template.Template, string) {
	t, err := template.Parse(text)
	var wrong *template.Error
	if errors.As(err, &wrong) {
		return nil, wrong.Expected + " in place of " + wrong.Found
	}
	return t, ""
}

// fileSink checks what the options say together.
func (p *parser) fileSink(s *FileSink, have given) {
	rotates := s.MaxSize > 0 || s.RotateEvery > 0
	for _, name := range []string{"max-file", "compress"} {
		if have.has(name) && !rotates && (name == "max-file" || s.Compress != CompressNone) {
			p.problem(have[name], name+" without max-size and rotate-every", "one of them: without it no file is ever finished", "set one, or remove "+name)
		}
	}
	if s.Format == FormatOutFile {
		if name, where, found := have.any("tag-key", "time-key"); found {
			p.problem(where, name+" beside format out_file", "format json, to whose object it adds", "remove one of the two")
		}
	}
	p.formatRules(s.Format, have, "tag-key", "time-key", "text-key")
}

// formatRules keeps options to the format that they speak of.
func (p *parser) formatRules(format RecordFormat, have given, ofJSON ...string) {
	if format == FormatText {
		if name, where, found := have.any(ofJSON...); found {
			p.problem(where, name+" beside format text", "format json, to whose object it adds", "remove one of the two")
		}
		return
	}
	if have.has("log-key") {
		p.problem(have["log-key"], "log-key beside format "+string(format), "format text, which is the value of that key", "remove one of the two")
	}
}
