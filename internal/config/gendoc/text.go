package main

const introduction = `<!-- Made by "go run ./internal/config/gendoc" from internal/config/table.go. Change that, not this page. -->

# Options

An option has one name everywhere: on the command line (` + "`--max-buffer-size 4m`" + `), in the log URI of containerd
(` + "`binary:///usr/local/bin/spillway-shim?--max-buffer-size=4m`" + `) and in the node file (` + "`max-buffer-size: 4m`" + `).

The strongest level that says something wins; ` + "`spillway explain`" + ` shows which one it was:

1. **container**: the container's own option, or the command line;
2. **node**: the section ` + "`defaults`" + ` of the node file;
3. **environment**: ` + "`AWS_REGION`" + ` for ` + "`awslogs-region`" + `, ` + "`SPILLWAY_STATE_DIR`" + ` for ` + "`state-dir`" + `, ` + "`CONTAINER_ID`" + ` for ` + "`container-id`" + `;
4. **built in**: the defaults below.

A node default that belongs to another driver is ignored, and so is one that contradicts what the container itself chose (a datetime format beside
the container's own multiline pattern). A container's own option that belongs to another driver, or to none, is an error.
All problems are reported at once, and the program ends with exit code 2.

| value | how it is written |
|---|---|
| bool | ` + "`true` or `false`" + ` (also ` + "`1`, `t`, `True`, `0`, `f`, `False`" + ` …) |
| size | as Docker reads sizes of memory: ` + "`4m`" + ` is 4 × 2^20 bytes; ` + "`k`, `m`, `g`" + `, also as ` + "`kb` or `KiB`" + `; a plain number is bytes. |
| file size | as Docker reads sizes of files: ` + "`4m`" + ` is 4,000,000 bytes; ` + "`k`, `m`, `g`" + `; a plain number is bytes |
| duration | a number with its unit: ` + "`500ms`, `5s`, `1m30s`" + ` |
| int | a whole decimal number |
| secret | text that is never shown |

## How ` + "`spillway-shim`" + ` reads its arguments

containerd hands over every key and value of the log URI as two arguments, in random order.

- ` + "`--option value`, `--option=value`" + ` and both with a single dash mean the same.
- An empty argument behind an option is its absent value: true for a boolean, unset for any other. It never lets the option take the argument behind it.
- A boolean takes the next argument unless that is an option: ` + "`--verbose false`" + ` means false, ` + "`--verbose`" + ` alone means true.
- Any other option takes the next argument, even one that begins with a dash. If that is exactly the name of an option, the value was forgotten, which is an error;
  where it is meant, write ` + "`--option=--value`" + `.
- An option that is given twice is an error.
`

const nodeFile = `
## The node file

` + "`/etc/spillway/spillway.yaml`" + `, which may be missing, or the file that ` + "`--config`" + ` names. It is strict: an unknown key, a repeated one or a bad value is an error
with file, line and column. Numbers and booleans may stand with or without quotes.

` + "```yaml" + `
defaults:
  mode: non-blocking
  max-buffer-size: 25m
  awslogs-region: eu-central-1
  awslogs-create-group: true
aws:
  imds: false
  ca-file: /etc/ssl/private-ca.pem
` + "```" + `

The section ` + "`defaults`" + ` takes any option above that is not marked *own*; those of the buffer hold for [routes](routes.md) as well. Sections of
` + "`spillway run`" + `, such as ` + "`sources`" + `, may stand beside; a logger passes over them. The section ` + "`aws`" + `:

`

const laterDrivers = `
## Drivers of a later version

splunk is not in this version: ` + "`--log-driver splunk`" + ` ends with exit code 2. Its options are known by name; a logger of another driver
that is handed one says so, and the node file may hold them: %s.
`
