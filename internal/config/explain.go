package config

import "strconv"

// Row is one line of "spillway explain".
type Row struct {
	Name  string `json:"name"`
	Value string `json:"value"` // empty if unset; a secret is hidden
	Level Level  `json:"level"`
	Where string `json:"where,omitempty"` // "FILE:LINE:COLUMN" of a node's value
	Help  string `json:"help"`
	Note  string `json:"note,omitempty"`
}

// hidden stands in for the value of a secret.
const hidden = "(hidden)"

// Explain says of every option that this program and driver take which value
// holds, and which level set it. For awslogs, the keys of the node file's
// section aws follow, under "aws.KEY".
func (r *Resolved) Explain() []Row {
	var rows []Row
	for i := range table {
		o := &table[i]
		if o.AliasOf != "" || !o.valid(r.program, r.driver) {
			continue
		}
		row := explain(o, r.values[i])
		switch {
		case o.Name == "state-dir" && !r.values[i].given:
			row.Value = r.stateDir
		case o.Name == "container-name" && !r.values[i].given && r.container.Name != "":
			row.Value, row.Note = r.container.Name, "the container's id"
		}
		rows = append(rows, row)
	}
	if r.driver != DriverAWSLogs {
		return rows
	}
	for i := range awsKeys {
		row := explain(&awsKeys[i], r.awsLevels[i])
		row.Name = "aws." + row.Name
		switch i {
		case awsProxy:
			row.Value = redactURL(r.awsLevels[i].Text)
		case awsIMDS:
			if effective := strconv.FormatBool(r.aws.IMDS); !r.aws.IMDS && row.Value != effective {
				row.Value, row.Level, row.Note = effective, LevelEnvironment, "from AWS_EC2_METADATA_DISABLED"
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// explain makes the row of one value.
func explain(o *Option, v value) Row {
	row := Row{Name: o.Name, Value: v.Text, Level: v.level, Where: v.where, Help: o.Help, Note: v.note}
	if !v.given {
		row.Value, row.Level = o.Default, LevelBuiltIn
	}
	if o.AcceptedOnly != "" {
		row.Note = "no effect: " + o.AcceptedOnly
	}
	switch {
	case row.Value == "":
	case o.Secret():
		row.Value = hidden
	case o.Kind == KindBool && v.given:
		row.Value = strconv.FormatBool(v.Flag)
	default:
		row.Value = redactURL(row.Value)
	}
	return row
}
