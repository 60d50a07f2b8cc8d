package configs

import "reflect"

// Changes names the keys in which to differs from c, each in the order of the
// schema: those that a running node can take over, and those that wait for a
// restart. A section is named as a whole, except where only some of its keys
// need a restart.
func (c *Config) Changes(to *Config) (now, atRestart []string) {
	note := func(path string, f reflect.StructField) {
		if needsRestart(f) {
			atRestart = append(atRestart, path)
		} else {
			now = append(now, path)
		}
	}
	was, is := reflect.ValueOf(c).Elem(), reflect.ValueOf(to).Elem()
	for _, f := range keysOf(was.Type()) {
		path := f.Tag.Get("key")
		a, b := was.FieldByIndex(f.Index), is.FieldByIndex(f.Index)
		switch {
		case f.Tag.Get("special") == "rules":
			if !reflect.DeepEqual(c.rules, to.rules) {
				note(path, f)
			}
		case f.Type.Kind() == reflect.Struct && !needsRestart(f):
			for _, inner := range keysOf(f.Type) {
				if !reflect.DeepEqual(a.FieldByIndex(inner.Index).Interface(), b.FieldByIndex(inner.Index).Interface()) {
					note(join(path, inner.Tag.Get("key")), inner)
				}
			}
		case !reflect.DeepEqual(a.Interface(), b.Interface()):
			note(path, f)
		}
	}
	return now, atRestart
}

func needsRestart(f reflect.StructField) bool {
	_, need := f.Tag.Lookup("restart")
	return need
}
